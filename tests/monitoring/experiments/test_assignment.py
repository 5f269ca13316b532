import hashlib
import subprocess
import sys

import numpy as np
import pytest

from src.contracts.errors import ConfigError
from src.monitoring.experiments.assignment import Experiment, check_layer, place

UNITS = [f"U{number}" for number in range(20_000)]


def test_place_is_the_published_hash() -> None:
    # SHA-256 of the salt, a zero byte and the unit, from hashlib's hex digest.
    digest = hashlib.sha256(b"search\x00U1").hexdigest()
    assert place("search", "U1") == (int(digest[:16], 16) // 2**11) / 2**53
    assert 0 <= min(place("s", unit) for unit in UNITS) < max(place("s", unit) for unit in UNITS) < 1


def test_shares_are_those_of_the_weights() -> None:
    experiment = Experiment("e", {"a": 0.2, "b": 0.5, "c": 0.3})
    got = [experiment.assign(unit) for unit in UNITS]
    for name, weight in experiment.variants.items():
        assert np.mean([each.variant == name for each in got]) == pytest.approx(weight, abs=0.015)
    assert {(each.variant, each.propensity) for each in got} == set(experiment.variants.items())


def test_raising_the_traffic_moves_nobody() -> None:
    before: dict[str, str] = {}
    for traffic in (0.0, 0.01, 0.1, 0.5, 1.0):
        experiment = Experiment("e", traffic=traffic)
        now = {unit: got.variant for unit in UNITS[:5000] if (got := experiment.assign(unit))}
        assert before.items() <= now.items()
        assert len(now) == pytest.approx(5000 * traffic, abs=150)
        # Whoever takes part, half of them get each variant.
        assert sum(variant == "control" for variant in now.values()) == pytest.approx(len(now) / 2, abs=120)
        before = now
    assert len(before) == 5000


def test_experiments_of_two_layers_are_independent_and_of_one_layer_disjoint() -> None:
    one, two = Experiment("one", layer="ranking"), Experiment("two", layer="page")
    both = np.array([[e.assign(unit).variant == "treated" for e in (one, two)] for unit in UNITS])
    assert abs(np.corrcoef(both.T)[0, 1]) < 0.03
    left, right = Experiment("left", end=0.5), Experiment("right", start=0.5)
    assert all((left.assign(unit) is None) != (right.assign(unit) is None) for unit in UNITS[:2000])


def test_weights_that_sum_to_one_but_for_rounding_leave_nobody_out() -> None:
    experiment = Experiment("e", {f"v{k}": 1 / 3 for k in range(3)})
    assert {experiment.assign(unit).variant for unit in UNITS[:200]} == {"v0", "v1", "v2"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"variants": {"a": 1.0}}, "at least two"),
        ({"variants": {"a": 0.5, "b": 0.6}}, "sum to 1"),
        ({"variants": {"a": 1.0, "b": 0.0}}, "positive"),
        ({"start": 0.6, "end": 0.5}, "start < end"),
        ({"traffic": 1.2}, "traffic=1.2"),
        ({"layer": ""}, "salts"),
    ],
)
def test_what_cannot_work_is_refused(given: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Experiment("e", **given)


def test_a_layer_refuses_overlaps_and_salts_used_twice() -> None:
    check_layer([Experiment("a", end=0.5), Experiment("b", start=0.5), Experiment("c", layer="other")])
    with pytest.raises(ConfigError, match="'a' and 'b' overlap"):
        check_layer([Experiment("a", end=0.6), Experiment("b", start=0.5)])
    with pytest.raises(ConfigError, match="stands twice"):
        check_layer([Experiment("a", end=0.5), Experiment("a", start=0.5)])
    with pytest.raises(ConfigError, match="is a layer's"):
        check_layer([Experiment("search")])


def test_serving_can_import_it_without_the_training_stack() -> None:
    code = (
        "import sys; import src.monitoring.experiments.assignment, src.monitoring.experiments.exposure_log; "
        "bad = {'torch', 'hydra', 'scipy', 'duckdb', 'pandas', 'jinja2'} & {*sys.modules}; "
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
