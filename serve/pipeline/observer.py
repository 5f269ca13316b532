"""Counts what is asked, on a thread of its own, so that drift is noticed (docs/monitoring.md)."""

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from serve.metrics import Metrics
from serve.pipeline.batcher import Embedded
from src.contracts.drift_reference import thinned
from src.contracts.image_header import read_header
from src.monitoring.drift.seen import Seen
from src.search.gallery import Hit

if TYPE_CHECKING:  # A service that watches no drift imports none of it.
    from src.monitoring.drift.recorder import Recorder

__all__ = ["Observer"]

_QUEUE = 2048
"""Queries that may wait to be counted, about 10 KB each."""
_REST = 1.0
"""Seconds between two countings: one call for many queries takes little time from the encoders."""

_log = logging.getLogger("serve")


class Observer:
    """Queues queries and returns at once. Nothing that goes wrong here reaches a search."""

    def __init__(self, recorder: "Recorder", *, seconds: float, metrics: Metrics) -> None:
        """Start the thread, which ends a window each `seconds`."""
        self._recorder, self._seconds, self._metrics = recorder, seconds, metrics
        self._queue: deque[Seen] = deque()
        self._dropped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)
        self._thread.start()

    def see(self, embedded: Embedded, data: bytes, best: Hit | None, request_id: str) -> None:
        """Queue a query that was just embedded; one of the cache was counted before, and is left out.

        `best` is the first hit of a search without filters; None for others, whose scores have another distribution.
        """
        if embedded.pixels is None:
            return
        if len(self._queue) >= _QUEUE:
            self._dropped += 1
            self._metrics.drift_queries.labels("dropped").inc()
            return
        header = read_header(data)
        score = float("nan") if best is None or best.score is None else best.score
        category = None if best is None else best.row["category"]
        small, size = thinned(embedded.pixels), (header.width, header.height)
        self._queue.append(Seen(embedded.vector, embedded.norm, small, size, score, category, request_id))

    def close(self) -> None:
        """Count what waits, and end the window."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        end, running = time.monotonic() + self._seconds, True
        while running:
            running = not self._stop.wait(_REST)
            try:
                self._count()
                if time.monotonic() >= end or not running:
                    end = time.monotonic() + self._seconds
                    self._finish()
            except Exception:
                self._metrics.drift_windows.labels("failed").inc()
                _log.exception("drift: queries are not counted; searches go on")

    def _count(self) -> None:
        seen = [self._queue.popleft() for _ in range(len(self._queue))]
        if seen:
            self._recorder.add(seen)
            self._metrics.drift_queries.labels("counted").inc(len(seen))

    def _finish(self) -> None:
        dropped, self._dropped = self._dropped, 0
        ended = self._recorder.finish(dropped=dropped)
        if ended is None:
            return
        window, found, verdict = ended
        changed = window.canary is not None and bool(window.canary.problem)
        if window.canary is not None:
            self._metrics.drift_canary.labels("changed" if changed else "same").inc()
        for family in found.families:
            self._metrics.drift_ratio.labels(family.name).set(family.ratio)
            self._metrics.drift_alarms.labels(family.name).inc(bool(family.alarms))
        self._metrics.drift_windows.labels("written").inc()
        if found.alarms or changed:
            names = ", ".join(found.alarms) or "the golden images"
            _log.warning("drift in %d queries: %s. %s", window.images, names, verdict)
