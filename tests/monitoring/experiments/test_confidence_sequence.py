import numpy as np
import pytest
from scipy import integrate, optimize, stats

from src.monitoring.experiments.confidence_sequence import best_mixture, boundary, p_values


def evidence(w: float, t: float, k: float) -> float:
    """The mixture by numerical integration over the half-normal."""
    half = stats.halfnorm(scale=k**0.5)
    return integrate.quad(lambda x: np.exp(x * w - x * x * t / 2) * half.pdf(x), 0, 12 * k**0.5, limit=500)[0]


@pytest.mark.parametrize(("time", "mixture", "alpha"), [(1.0, 0.3, 0.05), (28.0, 0.3, 0.05), (3.0, 2.0, 0.001)])
def test_the_boundary_is_where_the_mixture_reaches_two_over_alpha(time: float, mixture: float, alpha: float) -> None:
    w = optimize.brentq(lambda w: evidence(w, time, mixture) - 2 / alpha, 0, 60)
    assert boundary(np.array([time]), mixture, alpha)[0] == pytest.approx(w / time**0.5, rel=1e-6)


def test_it_is_just_above_the_two_sided_mixture_of_the_literature() -> None:
    # Waudby-Smith et al.'s margin for unit variance at time t: sqrt(2 (t r + 1) / (t^2 r) log(sqrt(t r + 1) / alpha)).
    t, r, alpha = np.array([10.0, 100.0, 1000.0]), 0.02, 0.05
    published = np.sqrt(2 * (t * r + 1) / (t**2 * r) * np.log(np.sqrt(t * r + 1) / alpha))
    ours = boundary(t, r, alpha) / np.sqrt(t)
    assert (ours >= published).all()
    assert ours == pytest.approx(published, rel=0.002)


def test_the_best_mixture_is_the_minimum() -> None:
    k = best_mixture(28.0, 0.05)
    at = [boundary(np.array([28.0]), each, 0.05)[0] for each in (k * 0.9, k, k * 1.1)]
    assert at[1] <= min(at[0], at[2]) + 1e-4


def test_p_values_invert_the_boundary_and_never_rise() -> None:
    time = np.array([1.0, 5.0, 20.0])
    for alpha in (0.2, 0.05, 1e-4):
        z = boundary(time, 0.3, alpha)
        for look in range(3):
            only = np.where(np.arange(3) == look, z, 0.0)
            assert p_values(only, time, 0.3)[-1] == pytest.approx(alpha)
    p = p_values(np.array([3.0, -6.0, 0.0]), time, 0.3)
    assert (np.diff(p) <= 0).all()


def test_infinite_time_gives_no_interval() -> None:
    assert np.isinf(boundary(np.array([np.inf]), 0.3, 0.05)[0])
    assert p_values(np.array([50.0]), np.array([np.inf]), 0.3)[0] == 1.0
