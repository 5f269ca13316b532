"""Telling photos of known products from photos of unknown ones, against scikit-learn and slow loops."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from src.eval.first_results import FirstResults
from src.eval.open_set import auroc, false_alarms, least_score, open_set_metrics

rng = np.random.default_rng(0)


def results(known: np.ndarray, unknown: np.ndarray, products: int = 20) -> FirstResults:
    count = len(known)
    return FirstResults(known, known - 0.1, np.ones(count, bool), unknown, np.arange(count) % products)


CASES = {
    "random": (rng.normal(1, 1, 300), rng.normal(0, 1, 300)),
    "ties": (rng.integers(0, 5, 200) / 4.0, rng.integers(0, 4, 200) / 4.0),
    "constant": (np.ones(50), np.ones(50)),
    "one": (np.array([0.5]), np.array([0.2])),
    "reversed": (rng.random(40) - 1, rng.random(40)),
}


@pytest.mark.parametrize(("known", "unknown"), CASES.values(), ids=CASES)
def test_area_under_the_curve_is_scikit_learns(known: np.ndarray, unknown: np.ndarray) -> None:
    labels = np.r_[np.ones(len(known)), np.zeros(len(unknown))]
    assert auroc(known, unknown)[0] == pytest.approx(roc_auc_score(labels, np.r_[known, unknown]))
    weights = rng.integers(0, 4, (3, len(known))) + 1.0
    expected = [roc_auc_score(labels, np.r_[known, unknown], sample_weight=np.r_[one, one]) for one in weights]
    np.testing.assert_allclose(auroc(known, unknown, weights), expected)


@pytest.mark.parametrize(("known", "unknown"), CASES.values(), ids=CASES)
def test_false_alarms_are_counted_at_the_largest_threshold_that_95_of_100_known_ones_reach(
    known: np.ndarray, unknown: np.ndarray
) -> None:
    kept = max(score for score in known if np.mean(known >= score) >= 0.95)
    assert least_score(known)[0] == kept
    assert false_alarms(known, unknown)[0] == pytest.approx(np.mean(unknown >= kept))


def test_weights_are_repetitions() -> None:
    known, unknown = CASES["ties"]
    times = rng.integers(0, 3, len(known))
    repeated = np.repeat(known, times), np.repeat(unknown, times)
    for measure in (auroc, false_alarms):
        assert measure(known, unknown, times[None])[0] == pytest.approx(measure(*repeated)[0])


def test_intervals_are_of_products_and_hold_the_value() -> None:
    found = open_set_metrics(results(*CASES["random"]))
    for name in ("open_set_auroc", "open_set_fpr@95"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    # Ten photos of each of 30 products say less than one of each of 300.
    known, unknown = (np.repeat(part[:30], 10) for part in CASES["random"])
    alike = FirstResults(known, known - 0.1, np.ones(300, bool), unknown, np.repeat(np.arange(30), 10))
    apart = results(known, unknown, products=300)
    widths = [
        found["open_set_auroc_high"] - found["open_set_auroc_low"] for found in map(open_set_metrics, (alike, apart))
    ]
    assert widths[0] > 2 * widths[1]


def test_no_interval_of_few_products_and_nothing_of_no_queries() -> None:
    assert set(open_set_metrics(results(*CASES["random"], products=2))) == {"open_set_auroc", "open_set_fpr@95"}
    assert open_set_metrics(results(np.empty(0), np.empty(0))) == {}
