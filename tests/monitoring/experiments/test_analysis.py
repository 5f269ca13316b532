import numpy as np
import pyarrow as pa
import pytest

from src.monitoring.experiments.analysis import analyse
from src.monitoring.experiments.assignment import Experiment
from src.monitoring.experiments.user_totals import ExperimentLog
from src.monitoring.simulate import simulated_log


def simulated(variants: dict[str, float] | None = None, *, noise: float, users: int = 1200) -> pa.Table:
    experiment = Experiment("e", variants or {"control": 0.5, "treated": 0.5})
    return simulated_log(experiment, users=users, days=6, before=2, noise=noise, parents=12, seed=1)


@pytest.fixture(scope="module")
def better() -> ExperimentLog:
    return ExperimentLog.of(simulated(noise=0.1))


def test_a_better_engine_is_shipped(better: ExperimentLog) -> None:
    found = analyse(better, "ctr@1", planned=6)
    assert found.decision == ("treated: ship: ctr@1 is better",)
    (primary, *others) = found.results
    assert (primary.role, primary.verdict) == ("primary", "better")
    assert primary.at.low[-1] > 0
    assert {each.role for each in others} == {"secondary"}
    assert primary.adjusted


def test_a_worse_engine_is_not_and_a_harmed_guardrail_forbids() -> None:
    worse = ExperimentLog.of(simulated(noise=3.0))
    assert analyse(worse, "ctr@1", planned=6).decision == ("treated: do not ship: ctr@1 is worse",)
    found = analyse(worse, "conversion", ["ctr"], planned=6)
    assert found.decision == ("treated: do not ship: it harms ctr",)


def test_a_guardrail_is_not_harmed_within_its_margin(better: ExperimentLog) -> None:
    wide = analyse(better, "ctr@1", ["cart"], planned=6, margin=0.9)
    assert wide.decision == ("treated: ship: ctr@1 is better",)
    assert {each.verdict for each in wide.results if each.role == "guardrail"} <= {"not harmed", "better"}
    tight = analyse(better, "ctr@1", ["revenue"], planned=6, margin=0.0)
    assert "whether it harms revenue is not known" in tight.decision[0]


def test_equal_engines_keep_running_and_then_have_no_decision() -> None:
    same = ExperimentLog.of(simulated(noise=0.7))
    assert "keep running, day 6 of 10" in analyse(same, "ctr", planned=10).decision[0]
    assert "no decision within the planned 6 days" in analyse(same, "ctr", planned=6).decision[0]
    assert analyse(same, "ctr").decision[0].startswith("treated: keep running: the true difference is between")
    few = ExperimentLog.of(simulated(noise=0.7, users=30))
    assert "too few users" in analyse(few, "conversion", planned=6).decision[0]


def test_a_wrong_sample_ratio_forbids_all() -> None:
    log = simulated(noise=0.1)
    users = {name for name in log["user_id"].to_pylist() if int(name[1:]) % 3 == 0}
    lost = [
        v == "treated" and u in users
        for v, u in zip(log["variant"].to_pylist(), log["user_id"].to_pylist(), strict=True)
    ]
    found = analyse(ExperimentLog.of(log.filter(pa.array(np.logical_not(lost)))), "ctr@1", planned=6)
    (sentence,) = found.decision
    assert sentence.startswith("Invalid: users are not in the planned shares")


def test_several_variants_share_alpha() -> None:
    three = ExperimentLog.of(simulated({"control": 0.4, "b": 0.3, "c": 0.3}, noise=0.1))
    found = analyse(three, "ctr@1", planned=6)
    assert [each.variant for each in found.results if each.role == "primary"] == ["b", "c"]
    assert len(found.decision) == 2
    alone = analyse(ExperimentLog.of(simulated(noise=0.1)), "ctr@1", planned=6)
    reach = [(each.at.high - each.at.value)[-1] / each.at.error[-1] for each in (found.results[0], alone.results[0])]
    assert reach[0] > 1.05 * reach[1]
    raw = [each.at.p_value() for each in found.results if each.role == "primary"]
    assert found.results[0].p_value == pytest.approx(
        min(1.0, min(raw) * 2) if raw[0] == min(raw) else max(min(raw) * 2, raw[0])
    )


def test_the_direction_is_that_of_the_crossing_and_not_of_the_last_look() -> None:
    from src.monitoring.experiments.analysis import _verdict
    from src.monitoring.experiments.looks import Differences

    value, error = np.array([5.0, -0.5]), np.ones(2)
    at = Differences(value, value, value, error, value - 3, value + 3, lambda: 0.01, 0, np.full(2, 50.0))
    assert _verdict(at, 0.01, 0.05, "primary", 0.0) == "better"
