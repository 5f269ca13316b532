"""The threads that decode, embed and search, off the event loop."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serve.observe.metrics import Metrics

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """A bounded pool. Its queue is bounded too: by the searches that admission lets in."""

    def __init__(self, *, threads: int, metrics: Metrics) -> None:
        """Start no thread yet.

        Args:
            threads: how many; 0 takes one for each core that this process may use.
            metrics: where stages are timed.
        """
        self._pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)), thread_name_prefix="search")
        self._metrics = metrics

    async def run(self, stage: str, work: Callable[[], T]) -> tuple[T, float]:
        """Run one stage of a search.

        Args:
            stage: its name in the metrics.
            work: what to do; it blocks.

        Returns:
            The result, and the seconds that the work took, waiting for a thread excluded.
        """
        queued = time.perf_counter()

        def timed() -> tuple[T, float]:
            started = time.perf_counter()
            self._metrics.wait_seconds.labels(stage).observe(started - queued)
            result = work()
            taken = time.perf_counter() - started
            self._metrics.stage_seconds.labels(stage).observe(taken)
            return result, taken

        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    def close(self) -> None:
        """Wait for what runs; drop what waits."""
        self._pool.shutdown(cancel_futures=True)
