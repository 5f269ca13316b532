"""What a load came to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.serving.load import Outcome

__all__ = ["Summary", "percentile_ms", "summarise"]


@dataclass(frozen=True)
class Summary:
    """Some requests.

    Attributes:
        rate: requests answered with 200 a second, from the first one due to the last one done.
        p50_ms: median time of those, from when they were due. `p99_ms` likewise.
        statuses: how many had which status; 0 is no answer.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    statuses: Counter[int]

    @property
    def errors(self) -> int:
        """Requests that were not answered with 200."""
        return self.statuses.total() - self.statuses[200]


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """The figures of some requests, at least one."""
    good = [one for one in outcomes if one.status == 200]
    seconds = max(one.done for one in outcomes) - min(one.due for one in outcomes)
    return Summary(
        rate=len(good) / seconds,
        p50_ms=percentile_ms(good, 50),
        p99_ms=percentile_ms(good, 99),
        statuses=Counter(one.status for one in outcomes),
    )


def percentile_ms(outcomes: Sequence[Outcome], percent: float) -> float:
    """A percentile of the times, in milliseconds, each an observed one; NaN of nothing."""
    if not outcomes:
        return float("nan")
    return float(np.percentile([1e3 * one.seconds for one in outcomes], percent, method="higher"))
