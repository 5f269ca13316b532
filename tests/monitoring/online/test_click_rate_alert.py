import numpy as np
import pytest
from scipy import stats

from src.contracts.errors import ConfigError
from src.monitoring.online.click_rate_alert import ClickRateAlert, Shown, dispersion_of

RATES = {("shoes", 1): 0.6, ("lamps", 1): 0.2}
REFERENCE = {key: Shown(50_000, int(50_000 * rate)) for key, rate in RATES.items()}


def window(rng: np.random.Generator, *, factor: float = 1.0, shoes: float = 0.5, pages: int = 1000) -> dict:
    counts = {("shoes", 1): int(pages * shoes), ("lamps", 1): pages - int(pages * shoes)}
    return {key: Shown(count, int(rng.binomial(count, RATES[key] * factor))) for key, count in counts.items()}


def test_a_fall_is_found_soon_and_dated() -> None:
    rng = np.random.default_rng(0)
    alert = ClickRateAlert(REFERENCE)
    for _ in range(30):
        assert alert.update(window(rng)) is None
    waited, alarm = 0, None
    while alarm is None:
        waited, alarm = waited + 1, alert.update(window(rng, factor=0.8))
    assert waited <= 3
    assert abs(alarm.since - waited) <= 2
    assert alarm.fall == pytest.approx(0.2, abs=0.05)
    assert alarm.suspects[0][0] == ("shoes", 1)
    alert.reset()
    assert alert.update(window(rng)) is None


def test_another_mix_is_no_fall() -> None:
    rng = np.random.default_rng(1)
    alert = ClickRateAlert(REFERENCE, every=100)
    raw = []
    for number in range(60):
        shown = window(rng, shoes=0.5 - number / 150)
        raw.append(sum(each.clicks for each in shown.values()) / 1000)
        assert alert.update(shown) is None
    # The rate that is not corrected fell by a third.
    assert raw[-1] < 0.75 * raw[0]


def test_false_alarms_are_no_more_often_than_promised() -> None:
    # 40 series of 100 windows just at the tolerated fall. With a mean of 100 windows or more to an alarm, about
    # 1 - exp(-1) = 63 % of them might see one; the bound is far from that.
    rng = np.random.default_rng(2)
    alarmed = 0
    for _ in range(40):
        alert = ClickRateAlert(REFERENCE, every=100)
        alarmed += any(alert.update(window(rng, factor=0.95, pages=300)) is not None for _ in range(100))
    assert alarmed <= 20


def test_the_detector_written_out() -> None:
    alert = ClickRateAlert(REFERENCE, every=1e12, tolerance=0.1, dispersion=2.0)
    sums = np.zeros(5)
    for clicks in (500, 450, 400, 300):
        alert.update({("shoes", 1): Shown(1000, clicks)})
        fallen = 0.54 * (1 - np.array([0.05, 0.1, 0.2, 0.4, 0.8]))
        ratio = stats.binom.logpmf(clicks, 1000, fallen) - stats.binom.logpmf(clicks, 1000, 0.54)
        sums = (1 + sums) * np.exp(ratio / 2)
    assert np.exp(alert._logs) == pytest.approx(sums)


def test_unknown_strata_are_left_out_and_counted() -> None:
    alert = ClickRateAlert(REFERENCE)
    for _ in range(50):
        assert alert.update({("hats", 1): Shown(1000, 0)}) is None
    assert alert.unknown == 50_000
    assert alert.update({}) is None


def test_dispersion_of_independent_and_of_equal_clicks() -> None:
    rng = np.random.default_rng(0)
    users, shown = np.repeat(np.arange(2000), 5), np.ones(10_000)
    independent = (rng.random(10_000) < 0.1).astype(float)
    rates = np.full(10_000, 0.1)
    assert dispersion_of(users, shown, independent, rates) == pytest.approx(1.0, abs=0.1)
    equal = np.repeat((rng.random(2000) < 0.1).astype(float), 5)
    # Five equal clicks of rate p: variance 25 p (1 - p) for 5 p expected.
    assert dispersion_of(users, shown, equal, rates) == pytest.approx(5 * 0.9, rel=0.15)
    assert dispersion_of(users, shown, np.full(10_000, 0.1), rates) == 1.0


@pytest.mark.parametrize(
    ("given", "says"),
    [({"every": 1.0}, "every=1.0"), ({"tolerance": 0.0}, "tolerance=0.0"), ({"dispersion": 0.5}, "dispersion=0.5"),
     ({"tolerance": 0.001}, "take a longer one")],
)  # fmt: skip
def test_what_cannot_work_is_refused(given: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ClickRateAlert(REFERENCE, **given)
