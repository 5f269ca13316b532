"""How a live index is doing, as plain numbers."""

from collections import deque
from dataclasses import dataclass

import numpy as np

__all__ = ["LiveMetrics", "RecentTimes"]


@dataclass(frozen=True)
class LiveMetrics:
    """One look at a live index.

    Attributes:
        rows: images that can be found.
        main_rows: rows of the main index, dead ones included.
        delta_rows: rows of the delta, dead ones included.
        tombstones: dead rows of the main index.
        sequence: last change.
        generation: number of the main index.
        log_bytes: of the segments that recovery would read.
        lag_p50_ms: median time from the call of an upsert or delete until searches saw it, over the last thousand.
        lag_p99_ms: its 99th percentile.
        merges: merges since the index was opened that were taken.
        merges_failed: merges since then that were abandoned.
        merging: 1 while a merge runs.
        merge_seconds: of the last merge; 0 before the first.
        merge_recall_at_10: of the main index against exact search, as measured when it was built.
        merge_problem: why the last merge was abandoned; empty when it was taken.
    """

    rows: int
    main_rows: int
    delta_rows: int
    tombstones: int
    sequence: int
    generation: int
    log_bytes: int
    lag_p50_ms: float
    lag_p99_ms: float
    merges: int
    merges_failed: int
    merging: int
    merge_seconds: float
    merge_recall_at_10: float
    merge_problem: str


class RecentTimes:
    """Percentiles of the last thousand times."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=1000)

    def add(self, seconds: float) -> None:
        """Note one."""
        self._seconds.append(seconds)

    def percentile_ms(self, percent: float) -> float:
        """In milliseconds; 0 where there is none yet."""
        seconds = list(self._seconds)
        return float(np.percentile(seconds, percent) * 1e3) if seconds else 0.0
