"""The chi-square tail against SciPy's."""

import pytest
from scipy.stats import chi2

from src.monitoring.drift.chi_square import tail, tail_point


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 9, 16])
@pytest.mark.parametrize("value", [0.0, 1e-6, 0.5, 3.0, 20.0, 90.0, 700.0])
def test_the_tail_is_scipys(freedom: int, value: float) -> None:
    assert tail(value, freedom) == pytest.approx(chi2.sf(value, freedom), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("freedom", [1, 2, 9])
@pytest.mark.parametrize("probability", [0.5, 0.01, 1e-3, 1e-7, 1e-12])
def test_the_tail_point_is_scipys(freedom: int, probability: float) -> None:
    assert tail_point(probability, freedom) == pytest.approx(chi2.isf(probability, freedom), rel=1e-9)
