"""Statistics against SciPy and slow formulas; the false alarms of simulated windows; planted changes."""

import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency

from src.contracts.errors import LookalikeError
from src.export.drift_reference import drift_reference
from src.monitoring.drift.comparison import MONTH, compare, holm, level, likelihood_ratio, psi
from src.monitoring.drift.families import FAMILIES
from src.monitoring.drift.window import Window

HOURLY = 720.0


@pytest.mark.parametrize("seed", range(6))
def test_the_likelihood_ratio_is_scipys_but_for_williams_correction(seed: int) -> None:
    rng = np.random.default_rng(seed)
    now, then = rng.multinomial(300, rng.dirichlet(np.ones(10)), 4), rng.multinomial(900, rng.dirichlet(np.ones(10)), 4)
    now[1, 2:5] = then[1, 2:5] = 0  # Bins that nobody is in.
    now[2, 0] = 0
    found, freedom = likelihood_ratio(now, then)
    for row in range(4):
        used = (now[row] + then[row]) > 0
        table = np.stack([now[row][used], then[row][used]])
        expected = chi2_contingency(table, correction=False, lambda_="log-likelihood")
        total, margins = table.sum(), table.sum(axis=1)
        inverse = (1 / table.sum(axis=0)).sum()
        q = 1 + ((total / margins).sum() - 1) * (total * inverse - 1) / (6 * total * expected.dof)
        assert freedom[row] == expected.dof
        assert found[row] == pytest.approx(expected.statistic / q, rel=1e-9)


def test_psi_is_the_formula_and_its_mean_without_a_change_is_the_expected_one() -> None:
    now, then = np.array([10, 0, 30]), np.array([20, 0, 10])
    p, q = np.array([10.5, 30.5]) / 41, np.array([20.5, 10.5]) / 31
    assert psi(now[None], then[None])[0] == pytest.approx(((p - q) * np.log(p / q)).sum())
    rng = np.random.default_rng(0)
    values = psi(*(rng.multinomial(size, np.full(10, 0.1), 3000) for size in (2000, 500)))
    scale = 1 / 2000 + 1 / 500
    assert values.mean() == pytest.approx(9 * scale, rel=0.03)
    assert np.quantile(values / scale, 0.95) == pytest.approx(chi2.isf(0.05, 9), rel=0.05)


def test_the_level_holds_in_the_tail_at_a_hundred_queries() -> None:
    rng = np.random.default_rng(0)
    false = np.zeros(2)
    for _ in range(2):
        now, then = (rng.multinomial(size, np.full(10, 0.1), 100_000) for size in (100, 1000))
        found, _ = likelihood_ratio(now, then)
        false += [(found > chi2.isf(probability, 9)).mean() / 2 for probability in (1e-3, 1e-4)]
    assert false[0] < 1.25e-3
    assert false[1] < 1.7e-4


def test_holm_is_the_step_down_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        chances = rng.random(6) ** 4
        left, expected = sorted(range(6), key=lambda place: chances[place]), np.zeros(6, bool)
        for number, place in enumerate(left):
            if chances[place] > 0.05 / (6 - number):
                break
            expected[place] = True
        np.testing.assert_array_equal(holm(chances, 0.05), expected)
    assert holm(np.zeros(3), 0.01).all()
    assert not holm(np.ones(3), 0.01).any()


def test_the_level_is_one_alarm_a_month_and_never_above_one_percent() -> None:
    assert level(MONTH / 3600) == pytest.approx(1 / 720)
    assert level(1) == level(30) == 0.01
    assert level(720, budget=3) == pytest.approx(3 / 720)


@pytest.mark.parametrize("count", [100, 500])
def test_equal_windows_raise_no_more_alarms_than_the_budget(window, reference, count: int) -> None:
    alarms = dict.fromkeys(FAMILIES, 0)
    for seed in range(60):
        for name in compare(window(seed, count), reference, windows_per_month=100).alarms:
            alarms[name] += 1
    # Less than one is expected in each family: four and more have a chance of .3 % even at the full level.
    assert max(alarms.values()) <= 3, alarms
    assert sum(alarms.values()) <= 8


CHANGES = {
    "inputs": lambda found: {**found, "inputs": found["inputs"] * np.array([1.4, 1, 1, 1, 1], np.float32)},
    "norm": lambda found: {**found, "norms": 1.2 * found["norms"]},
    "score": lambda found: {**found, "top_scores": found["top_scores"] - 0.05},
    "categories": lambda found: {**found, "categories": ["tents"] * 60 + found["categories"][60:]},
    "dimensions": lambda found: {
        **found,
        "embeddings": found["embeddings"] + np.eye(1, 24, 3, dtype=np.float32) * np.float32(0.1),
    },
    "slices": lambda found: {
        **found,
        "top_scores": np.where(np.array(found["categories"]) == "boots", 0.2, found["top_scores"]).astype(np.float32),
    },
    "rank": lambda found: {
        **found,
        "embeddings": np.repeat(found["embeddings"][:, :1], 24, axis=1) / np.float32(24**0.5),
    },
}


@pytest.mark.parametrize("family", CHANGES)
def test_a_planted_change_is_an_alarm_of_its_family(window, reference, family: str) -> None:
    found = compare(window(1, 1000, CHANGES[family]), reference, windows_per_month=HOURLY)
    assert family in found.alarms
    (changed,) = (one for one in found.families if one.name == family)
    assert changed.ratio > 1
    assert changed.findings[0].alarm
    names = {"inputs": "brightness", "dimensions": "dimension 3", "slices": "top_score in boots"}
    if family in names:
        assert changed.findings[0].name == names[family]
    if family in ("inputs", "norm", "score", "categories"):
        assert "rank" not in found.alarms
        assert changed.findings[0].value > changed.findings[0].threshold > changed.findings[0].expected


def test_a_collapse_lowers_the_effective_rank(window, reference) -> None:
    found = compare(window(1, 1000, CHANGES["rank"]), reference, windows_per_month=HOURLY)
    assert found.effective_rank < 1.5 < found.reference_rank


def test_few_queries_are_not_tested_and_graphs_without_norms_say_so(window, reference) -> None:
    few = compare(window(0, 99), reference, windows_per_month=HOURLY)
    assert {family.untested for family in few.families} == {"99 queries; 100 are the least"}
    assert few.alarms == []

    def without(found: dict) -> dict:
        return {**found, "norms": np.full(len(found["norms"]), np.nan)}

    families = {one.name: one for one in compare(window(0, 500, without), reference, windows_per_month=HOURLY).families}
    assert families["norm"].untested == "the graph gives no norms: export the bundle again"
    assert not families["score"].untested


def test_a_constant_that_changes_is_noticed(window, reference) -> None:
    def taller(found: dict) -> dict:
        return {**found, "inputs": found["inputs"] + np.array([0, 0, 200, 0, 0], np.float32)}

    found = compare(window(3, 500, taller), reference, windows_per_month=HOURLY)
    (inputs,) = (one for one in found.families if one.name == "inputs")
    assert [finding.name for finding in inputs.alarms] == ["height"]


def test_a_baseline_takes_the_references_place(window, reference) -> None:
    brighter = CHANGES["inputs"]
    base, now = window(1, 2000, brighter), window(2, 2000, brighter)
    assert "inputs" in compare(now, reference, windows_per_month=HOURLY).alarms
    assert compare(now, reference, windows_per_month=HOURLY, baseline=base).alarms == []
    assert "inputs" in compare(window(2, 2000), reference, windows_per_month=HOURLY, baseline=base).alarms


def test_a_window_of_another_bundle_is_refused(window, draw) -> None:
    found = draw(np.random.default_rng(9), 300)
    scalars = np.column_stack([found["norms"], found["top_scores"], found["inputs"]]).astype(np.float32)
    other = drift_reference(found["embeddings"], scalars, found["categories"], encoder_id="another")
    with pytest.raises(LookalikeError, match="give windows of it"):
        compare(window(0, 200), other, windows_per_month=HOURLY)
    with pytest.raises(LookalikeError, match="give windows of it"):
        compare(Window.empty(other), other, windows_per_month=HOURLY, baseline=window(0, 200))
