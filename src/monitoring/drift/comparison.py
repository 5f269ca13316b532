"""Whether a window differs from a reference by more than chance, under one budget of false alarms for each family."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from src.contracts.drift_reference import INPUTS, SCALARS, DriftReference
from src.contracts.effective_rank import effective_rank
from src.contracts.errors import LookalikeError
from src.monitoring.drift.chi_square import tail, tail_point
from src.monitoring.drift.families import FAMILIES
from src.monitoring.drift.window import Window, reference_id

__all__ = ["LEAST_IMAGES", "MONTH", "Comparison", "Family", "Finding", "compare", "level"]

LEAST_IMAGES = 100
"""Queries below which nothing is tested: the chi-square approximation has been checked from there on."""
_LEAST_SLICE = 100
_MOST_LEVEL = 0.01
MONTH = 30 * 86400.0
"""In seconds."""


@dataclass(frozen=True)
class Finding:
    """One test.

    Attributes:
        name: of the feature; with its category in a slice.
        images: queries of the window that have a value, n.
        of_reference: likewise of the reference, m.
        value: PSI; the ratio to the reference's for the effective rank.
        expected: what it is on average where nothing has changed: (B - 1)(1/n + 1/m) for a PSI of B bins.
        threshold: about where the alarm begins at these n and m.
        p: probability of so large a statistic where nothing has changed.
        alarm: whether it is one, by Holm's method over its family.
        shares: float64 (BINS,) or (categories,): shares of the window's queries; empty for the rank.
        reference_shares: likewise of the reference.
    """

    name: str
    images: int
    of_reference: int
    value: float
    expected: float
    threshold: float
    p: float
    alarm: bool
    shares: tuple[float, ...]
    reference_shares: tuple[float, ...]


@dataclass(frozen=True)
class Family:
    """The tests of one family, those with the smallest p first.

    Attributes:
        ratio: the largest statistic over its threshold, each in units of -log10 p: above 1 there is an alarm.
        over_10: how many PSI exceed .1, which a rule of thumb calls a moderate change; 0 for the rank.
        over_20: how many exceed .2, a large one.
        untested: why there are no tests; empty where there are.
    """

    name: str
    level: float
    findings: tuple[Finding, ...]
    ratio: float
    over_10: int
    over_20: int
    untested: str = ""

    @property
    def alarms(self) -> list[Finding]:
        """The tests that are alarms."""
        return [finding for finding in self.findings if finding.alarm]


@dataclass(frozen=True)
class Comparison:
    """All families, in the order of `FAMILIES`.

    Attributes:
        images: queries of the window.
        effective_rank: of the window.
        reference_rank: of the reference.
    """

    images: int
    families: tuple[Family, ...]
    effective_rank: float
    reference_rank: float

    @property
    def alarms(self) -> list[str]:
        """The names of the families with an alarm."""
        return [family.name for family in self.families if family.alarms]


def level(windows_per_month: float, *, budget: float = 1.0) -> float:
    """The probability of a false alarm that each test of a family may have in one window.

    Args:
        windows_per_month: windows that are compared in 30 days.
        budget: false alarms that are allowed in 30 days, for each family; the level is at most .01 all the same.
    """
    return min(_MOST_LEVEL, budget / max(windows_per_month, 1.0))


def compare(
    window: Window, reference: DriftReference, *, windows_per_month: float, baseline: Window | None = None
) -> Comparison:
    """Test each family.

    A feature's counts are compared with the reference's by the likelihood-ratio test of two multinomial samples with
    Williams' correction (Williams, Biometrika 1976). It agrees with PSI / (1/n + 1/m), which is chi-square for many
    queries; but at 100 queries and a level of one in 100,000 it still keeps that level, which PSI exceeds sevenfold.
    Holm's method (1979) holds the family's level whatever depends on what.

    Args:
        window: of the reference's bundle.
        reference: its bins; and its counts, without a baseline.
        windows_per_month: windows that are compared in 30 days: one false alarm a family is allowed in them.
        baseline: an earlier window that counts as the reference, such as a week of production.

    Raises:
        LookalikeError: a window of another bundle.
    """
    own = reference_id(reference)
    base = baseline or Window.of_reference(reference)
    for one in (window, base):
        if one.reference_id != own:
            raise LookalikeError(
                f"a window counts by the reference {one.reference_id}, the bundle has {own}; give windows of it"
            )
    allowed = level(windows_per_month)
    families = [_family(name, window, base, reference, allowed) for name in FAMILIES]
    return Comparison(window.images, tuple(families), _rank(window), _rank(base))


def _family(name: str, window: Window, base: Window, reference: DriftReference, allowed: float) -> Family:
    if window.images < LEAST_IMAGES:
        return Family(name, allowed, (), 0.0, 0, 0, f"{window.images} queries; {LEAST_IMAGES} are the least")
    if name == "rank":
        return _rank_family(window, base, reference, allowed)
    pairs = list(_pairs(name, window, base, reference))
    tested = [(label, now, then) for label, now, then in pairs if min(now.sum(), then.sum()) >= _LEAST_SLICE]
    if not tested:
        why = "the graph gives no norms: export the bundle again" if name == "norm" else "too few queries have a value"
        return Family(name, allowed, (), 0.0, 0, 0, why)
    counts = [np.stack([group[place] for group in tested]) for place in (1, 2)]
    statistics, freedom = likelihood_ratio(*counts)
    chances = np.array([tail(value, int(k)) if k else 1.0 for value, k in zip(statistics, freedom, strict=True)])
    alarms = holm(chances, allowed)
    values = psi(*counts)
    found = [
        _finding(group, value, chance, bool(alarm), int(k), allowed / len(tested))
        for group, value, chance, alarm, k in zip(tested, values.tolist(), chances, alarms, freedom, strict=True)
    ]
    found.sort(key=lambda finding: finding.p)
    # -log10: the smallest number of double precision is 1e-308.
    ratio = np.log10(max(found[0].p, 1e-300)) / np.log10(allowed / len(found))
    return Family(name, allowed, tuple(found), float(ratio), int((values > 0.1).sum()), int((values > 0.2).sum()))


def _pairs(
    name: str, window: Window, base: Window, reference: DriftReference
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, counts and reference's counts of each feature of a family; all have as many bins."""
    if name == "categories":
        yield "category of the best result", window.category_counts, base.category_counts
        return
    if name == "slices":
        features = reference.names[reference.dim :]
        for category, now, then in zip(reference.categories, window.slice_counts, base.slice_counts, strict=True):
            yield from ((f"{feature} in {category}", *pair) for feature, *pair in zip(features, now, then, strict=True))
        return
    wanted = {
        "dimensions": reference.names[: reference.dim],
        "components": reference.names[reference.dim : -len(SCALARS)],
        "norm": ["norm"],
        "score": ["top_score"],
        "inputs": list(INPUTS),
    }[name]
    rows = {feature: row for row, feature in enumerate(reference.names)}
    yield from ((feature, window.counts[rows[feature]], base.counts[rows[feature]]) for feature in wanted)


def likelihood_ratio(now: np.ndarray, then: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether two samples come from one distribution, row by row.

    Args:
        now: int64 (features, bins), counts of one sample; each row has some.
        then: likewise of the other.

    Returns:
        float64 (features,), G with Williams' correction, which is chi-square where they do; and int64 (features,), its
        degrees of freedom: bins that either sample has, less one.
    """
    a, b = now.astype(np.float64), then.astype(np.float64)
    n, m, both = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True), a + b
    total = n + m
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(k > 0, k * np.log(k * total / (both * size)), 0.0) for k, size in ((a, n), (b, m))]
        inverse = np.where(both > 0, 1 / both, 0.0).sum(axis=1)
    freedom = (both > 0).sum(axis=1) - 1
    total, n, m = total[:, 0], n[:, 0], m[:, 0]
    spread = np.maximum(6 * total * freedom, 1)
    correction = 1 + (total / n + total / m - 1) * (total * inverse - 1) / spread
    return 2 * (parts[0] + parts[1]).sum(axis=1) / correction, freedom


def psi(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """The population stability index of two arrays of counts, row by row: float64 (features,), of (features, bins).

    Each bin that either has gets half a query more, so that none is empty.
    """
    used = (now + then) > 0
    more = [np.where(used, counts + 0.5, 0.0) for counts in (now, then)]
    p, q = (counts / counts.sum(axis=1, keepdims=True) for counts in more)
    return ((p - q) * np.log(np.where(used, p, 1) / np.where(used, q, 1))).sum(axis=1)


def holm(chances: np.ndarray, allowed: float) -> np.ndarray:
    """Which tests are alarms by Holm's method: bool (tests,); at most `allowed` is the chance of a false one."""
    order = np.argsort(chances, kind="stable")
    passed = chances[order] <= allowed / np.arange(len(chances), 0, -1)
    alarms = np.zeros(len(chances), bool)
    alarms[order[: len(passed) if passed.all() else int(passed.argmin())]] = True
    return alarms


def _finding(
    group: tuple[str, np.ndarray, np.ndarray], value: float, chance: float, alarm: bool, freedom: int, each: float
) -> Finding:
    name, now, then = group
    n, m = int(now.sum()), int(then.sum())
    scale = 1 / n + 1 / m
    threshold = tail_point(each, freedom) * scale if freedom else float("inf")
    return Finding(name, n, m, value, freedom * scale, threshold, chance, alarm, _shares(now), _shares(then))


def _shares(counts: np.ndarray) -> tuple[float, ...]:
    return tuple((counts / counts.sum()).tolist())


def _rank(window: Window) -> float:
    return effective_rank(window.spread_images, window.along, window.products)


def _rank_family(window: Window, base: Window, reference: DriftReference, allowed: float) -> Family:
    """Either way; of the normal distribution, which resampling at export gave the bias and the deviation of."""
    n, m = window.spread_images, base.spread_images
    true = _rank(base)
    expected = true + float(reference.rank_bias) * (1 / m - 1 / n)
    deviation = float(reference.rank_deviation) * np.sqrt(1 / n + 1 / m)
    if not (true > 0 and deviation > 0):
        return Family("rank", allowed, (), 0.0, 0, 0, "the reference's embeddings do not spread")
    z = abs(_rank(window) - expected) / deviation
    chance, limit = tail(z * z, 1), np.sqrt(tail_point(allowed, 1))
    finding = Finding(
        "effective rank", n, m, _rank(window) / true, expected / true, limit * deviation / true, chance,
        chance <= allowed, (), (),
    )  # fmt: skip
    return Family("rank", allowed, (finding,), float(np.log10(max(chance, 1e-300)) / np.log10(allowed)), 0, 0)
