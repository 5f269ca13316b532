"""Laws are found again in figures that follow them."""

import numpy as np
import pytest

from src.index.capacity.growth import fit_growth, fit_law

ROWS = np.array([10_000, 30_000, 100_000, 300_000])
TRUE = {
    "linear": lambda n: 2e-5 + 7e-8 * n,
    "logarithm": lambda n: 1e-5 + 3e-5 * np.log(n),
    "power": lambda n: 1e-5 * n**0.3,
}


@pytest.mark.parametrize("law", TRUE)
def test_a_law_predicts_a_million_from_figures_that_follow_it(law: str) -> None:
    fitted = fit_law(ROWS, TRUE[law](ROWS), law)
    assert fitted.at(1_000_000) == pytest.approx(TRUE[law](1_000_000), rel=1e-6)
    assert fitted.b > 0


@pytest.mark.parametrize("law", TRUE)
def test_noise_of_two_percent_stays_small(law: str) -> None:
    noisy = TRUE[law](ROWS) * (1 + 0.02 * np.array([1, -1, 1, -1]))
    assert fit_law(ROWS, noisy, law).at(1_000_000) == pytest.approx(TRUE[law](1_000_000), rel=0.15)


@pytest.mark.parametrize("law", ["logarithm", "power"])
def test_the_law_that_predicts_best_is_taken(law: str) -> None:
    fitted = fit_growth(ROWS[::-1], TRUE[law](ROWS[::-1]), ("power", "logarithm"))
    assert fitted.law == law
    assert fitted.error == pytest.approx(0, abs=1e-6)


def test_few_figures_take_the_first_law_and_claim_no_error() -> None:
    assert fit_growth(ROWS[:2], [1.0, 2.0], ("power", "logarithm")).law == "power"
    alone = fit_growth(ROWS[:1], [3.0], ("linear",))
    assert (alone.at(10**9), alone.error) == (3.0, None)


@pytest.mark.parametrize("law", TRUE)
def test_nothing_gets_cheaper_by_more_vectors(law: str) -> None:
    fitted = fit_law(ROWS, np.array([4.0, 3.0, 2.0, 1.0]), law)
    assert fitted.b == 0
    assert 1 <= fitted.at(10**9) <= 4
    # Nor does an empty index take less than no time.
    assert fit_law(ROWS, 1e-8 * ROWS - 5e-5, "linear").at(1) >= 0
