from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import ConfigError
from src.monitoring.experiments.assignment import Experiment
from src.monitoring.experiments.exposure_log import EXPOSURES
from src.monitoring.experiments.metrics import METRICS
from src.monitoring.experiments.user_totals import ExperimentLog
from src.monitoring.simulate import START, simulated_log
from tests.monitoring.experiments.logs import event, table


@pytest.fixture(scope="module")
def log() -> pa.Table:
    return simulated_log(
        Experiment("e", {"control": 0.6, "treated": 0.4}), users=150, days=4, before=3, noise=0.3, parents=12, seed=3
    )


def slowly(log: pa.Table, metric: str) -> dict[tuple[str, int], list[float]]:
    """Totals of each user and day by plain Python: day -1 is the period before."""
    first: dict[str, object] = {}
    for row in log.to_pylist():
        if row["variant"] is not None:
            first.setdefault(row["user_id"], row["event_at"])
    totals: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    sessions: dict[tuple[str, str], int] = {}
    for row in log.to_pylist():
        user = row["user_id"]
        if user not in first:
            continue
        day = (row["event_at"] - START).days if row["event_at"] >= first[user] else -1
        cell, kind = totals[user, day], row["event"]
        if metric in ("ctr", "ctr@1"):
            if metric == "ctr" or row["rank"] == 1:
                cell[0] += kind == "click"
                cell[1] += kind == "impression"
            continue
        if kind == "impression" and (row["session_id"], "") not in sessions:
            sessions[row["session_id"], ""] = day
            cell[1] += 1
        if kind == {"cart": "cart", "conversion": "purchase", "revenue": "purchase"}[metric]:
            place = sessions.setdefault((row["session_id"], kind), day)
            if metric == "revenue":
                totals[user, place][0] += row["price"]
            elif (row["session_id"], "done") not in sessions:
                sessions[row["session_id"], "done"] = day
                cell[0] += 1
    return totals


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_totals_are_those_of_plain_python(log: pa.Table, metric: str) -> None:
    placed = ExperimentLog.of(log)
    totals = slowly(log, metric)
    for number, variant in enumerate(placed.variants):
        arm = placed.arm(METRICS[metric], number)
        users = sorted({row["user_id"] for row in log.to_pylist() if row["variant"] == variant})
        assert len(users) == len(arm.y)
        for day in range(placed.days):
            for column, found in ((0, arm.y), (1, arm.n)):
                expected = [sum(totals[user, d][column] for d in range(day + 1)) for user in users]
                assert found[:, day] == pytest.approx(expected)
        assert arm.pre_n == pytest.approx([totals[user, -1][1] for user in users])
        assert arm.pre_y == pytest.approx([totals[user, -1][0] for user in users])


def test_replays_order_and_late_rows_do_not_matter(log: pa.Table) -> None:
    rng = np.random.default_rng(0)
    mixed = pa.concat_tables([log, log.slice(100, 500)]).take(rng.permutation(log.num_rows + 500))
    one, two = ExperimentLog.of(log), ExperimentLog.of(mixed)
    for metric in METRICS.values():
        assert one.arm(metric, 1).y == pytest.approx(two.arm(metric, 1).y)
        assert one.arm(metric, 1).n == pytest.approx(two.arm(metric, 1).n)


def test_shares_come_from_the_propensities(log: pa.Table) -> None:
    placed = ExperimentLog.of(log)
    assert placed.variants == ("control", "treated")
    assert placed.shares == pytest.approx([0.6, 0.4])
    assert placed.shares_known
    assert placed.counts()[-1].sum() == len(placed.variant_of)
    without = ExperimentLog.of(log.set_column(8, "propensity", pa.nulls(log.num_rows, pa.float64())))
    assert not without.shares_known
    assert without.shares.tolist() == [0.5, 0.5]


def test_who_saw_both_is_left_out_and_events_without_impression_too() -> None:
    placed = ExperimentLog.of(
        table(
            event("U1", 1), event("U2", 2, variant="treated"), event("U3", 1), event("U3", 30, variant="treated"),
            event("U1", 1.1, "click"), event("U1", 1.2, "click", item="I9"),
        )
    )  # fmt: skip
    assert (placed.mixed, placed.lost) == (1, 1)
    assert placed.arm(METRICS["ctr"], 0).y[:, -1].tolist() == [1.0]


def test_a_session_that_crosses_midnight_counts_where_it_began_and_revenue_is_capped() -> None:
    rows = [
        *(event("U1", 23.9, item=item, rank=rank, session="S") for rank, item in enumerate("ab", 1)),
        *(
            event("U1", 24.1, "purchase", item=item, rank=rank, session="S", price=80.0)
            for rank, item in enumerate("ab", 1)
        ),
        event("U2", 1, variant="treated"),
        event("U2", 2, "purchase", variant="treated", price=None),
    ]
    whole, capped = (ExperimentLog.of(table(*rows), cap=cap) for cap in (None, 100.0))
    assert whole.arm(METRICS["revenue"], 0).y.tolist() == [[0.0, 160.0]]
    assert whole.arm(METRICS["revenue"], 0).n.tolist() == [[1.0, 1.0]]
    assert capped.arm(METRICS["revenue"], 0).y[:, -1].tolist() == [100.0]
    assert capped.arm(METRICS["conversion"], 0).y[:, -1].tolist() == [1.0]
    assert (whole.capped, capped.capped) == (0, 1)
    # A purchase without a price is a purchase.
    assert whole.arm(METRICS["revenue"], 1).y[:, -1].tolist() == [0.0]


def test_exposures_say_who_saw_what_and_from_when() -> None:
    def exposure(user: str, hours: float, variant: str) -> dict[str, object]:
        at = event(user, hours)["event_at"]
        return dict(zip(EXPOSURES.names, (f"{user}{hours}", at, "e", user, variant, 0.5), strict=True))

    exposures = pa.Table.from_pylist(
        [exposure("U1", 5, "control"), exposure("U2", 5, "treated"), exposure("U9", 6, "treated")], schema=EXPOSURES
    )
    log = table(event("U1", 4, variant=None), event("U1", 6, item="x", variant=None), event("U2", 7, variant=None))
    placed = ExperimentLog.of(log, exposures)
    arm = placed.arm(METRICS["ctr"], 0)
    assert arm.n.tolist() == [[1.0]]
    assert arm.pre_n is not None
    assert arm.pre_n.tolist() == [1.0]
    # Exposed users who did nothing count for the sample ratio.
    assert placed.counts()[-1].tolist() == [1, 2]


def test_events_without_a_user_have_their_session_for_one() -> None:
    placed = ExperimentLog.of(table(event(None, 1, session="S1"), event(None, 1, session="S2", variant="treated")))
    assert placed.without_user == 2
    assert len(placed.variant_of) == 2


def test_variants_must_be_two_and_the_control_one_of_them() -> None:
    with pytest.raises(ConfigError, match="at least two"):
        ExperimentLog.of(table(event("U1", 1)))
    log = table(event("U1", 1, variant="a"), event("U2", 1, variant="b"))
    assert ExperimentLog.of(log, control="b").variants == ("b", "a")
    with pytest.raises(ConfigError, match="none of a, b"):
        ExperimentLog.of(log, control="c")
