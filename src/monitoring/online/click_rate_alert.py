"""An alert on a fall of the click rate, which may be read after every window for ever.

Rates differ by rank and by category, and what people search for changes. So the clicks are compared with those
expected of the same impressions at the reference's rates, stratum by stratum (category and rank): a change of the mix
is no fall.

A window's evidence for a relative fall d beyond the tolerated rate p is the likelihood of its clicks under (1 - d) p,
divided by that under p. Its expectation is at most 1 for independent clicks of rate p or more. The clicks of one user
are alike, so it is raised to the power 1 / D with the clicks' dispersion D. The detector R <- (1 + R) x evidence sums
over all windows since which the fall may have lasted. The mean time to a false alarm is at least the threshold
(e-detectors: Shin, Ramdas, Rinaldo, New England J. Stat. Data Sci. 2023). R is averaged over several d.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from src.contracts.errors import ConfigError

__all__ = ["Alarm", "ClickRateAlert", "Shown", "dispersion_of"]

Stratum = tuple[str, int]
"""Category and rank."""

_FALLS = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
_REMEMBERED = 1000


@dataclass(frozen=True)
class Shown:
    """Impressions and clicks of one stratum."""

    impressions: int
    clicks: int


@dataclass(frozen=True)
class Alarm:
    """A fall that was found.

    Attributes:
        since: windows ago at which it seems to have begun; 1 is the latest.
        fall: relative, since then, of what was expected.
        suspects: strata that miss most clicks since then, with how many, at most five.
    """

    since: int
    fall: float
    suspects: tuple[tuple[Stratum, float], ...]


class ClickRateAlert:
    """Watches windows, one after the other.

    Args:
        reference: what each stratum had in the reference period.
        every: mean number of windows to a false alarm, at least.
        tolerance: relative fall that is no alarm. It also covers the reference's own error.
        dispersion: variance of clicks relative to independent ones, at least 1 (`dispersion_of`).

    Attributes:
        unknown: impressions of strata without a reference, which are left out.

    Raises:
        ConfigError: values that cannot work, or a reference too short for the tolerance.
    """

    def __init__(
        self,
        reference: Mapping[Stratum, Shown],
        *,
        every: float = 1000.0,
        tolerance: float = 0.05,
        dispersion: float = 1.0,
    ) -> None:
        clicks = sum(shown.clicks for shown in reference.values())
        problems = []
        if every <= 1 or not 0 < tolerance < 1 or dispersion < 1:
            problems.append(
                f"every={every}, tolerance={tolerance}, dispersion={dispersion}: must be > 1, in (0, 1), >= 1"
            )
        elif clicks < dispersion * (2 / tolerance) ** 2:
            problems.append(
                f"a reference of {clicks} clicks is not known to within half of tolerance={tolerance}: "
                f"{dispersion * (2 / tolerance) ** 2:.0f} are needed; take a longer one"
            )
        if problems:
            raise ConfigError("click rate alert: " + "; ".join(problems))
        self.unknown = 0
        self._rates = {key: shown.clicks / shown.impressions for key, shown in reference.items() if shown.impressions}
        self._every, self._tolerance, self._dispersion = every, tolerance, dispersion
        self._logs = np.full(len(_FALLS), -np.inf)
        self._past: deque[dict[Stratum, tuple[float, Shown]]] = deque(maxlen=_REMEMBERED)

    def update(self, window: Mapping[Stratum, Shown]) -> Alarm | None:
        """Take the next window; an alarm where a fall is found, and at each window after it until `reset`."""
        self.unknown += sum(shown.impressions for key, shown in window.items() if key not in self._rates)
        known = {key: (self._rates[key], shown) for key, shown in window.items() if key in self._rates}
        self._past.append(known)
        gains = self._gains(known)
        self._logs = np.logaddexp(0.0, self._logs) + gains
        if np.logaddexp.reduce(self._logs) - np.log(len(self._logs)) < np.log(self._every):
            return None
        return self._alarm(int(np.argmax(self._logs)))

    def reset(self) -> None:
        """Begin anew, after a fall was mended or accepted."""
        self._logs[:] = -np.inf
        self._past.clear()

    def _gains(self, known: Mapping[Stratum, tuple[float, Shown]]) -> np.ndarray:
        """Logarithms of a window's evidence, one for each of `_FALLS`."""
        rates = (1 - self._tolerance) * np.array([rate for rate, _ in known.values()])
        clicks = np.array([shown.clicks for _, shown in known.values()])
        others = np.array([shown.impressions for _, shown in known.values()]) - clicks
        kept = 1 - _FALLS[:, None]
        logs = clicks * np.log(kept) + others * np.log((1 - kept * rates) / (1 - rates))
        return logs.sum(axis=1) / self._dispersion

    def _alarm(self, best: int) -> Alarm:
        """The fall's beginning is where the evidence from there on is largest."""
        gains = np.cumsum([self._gains(known)[best] for known in reversed(self._past)])
        since = int(np.argmax(gains)) + 1
        missing: dict[Stratum, float] = {}
        expected = 0.0
        for known in list(self._past)[-since:]:
            for key, (rate, shown) in known.items():
                missing[key] = missing.get(key, 0.0) + rate * shown.impressions - shown.clicks
                expected += rate * shown.impressions
        suspects = tuple(sorted(missing.items(), key=lambda pair: -pair[1])[:5])
        return Alarm(since, sum(missing.values()) / expected if expected else 0.0, suspects)


def dispersion_of(users: np.ndarray, impressions: np.ndarray, clicks: np.ndarray, rates: np.ndarray) -> float:
    """How much more clicks vary than independent ones do, because those of one user are alike.

    Args:
        users: the user of each row, of shape (rows,); a row is a user and stratum.
        impressions: of each row.
        clicks: of each row.
        rates: click rate of each row's stratum.

    Returns:
        Variance of the users' sums divided by the expected clicks, at least 1.
    """
    _, codes = np.unique(users, return_inverse=True)
    expected = impressions * rates
    sums = np.bincount(codes, weights=clicks - expected)
    return max(1.0, float((sums**2).sum() / max(expected.sum(), 1e-12)))
