"""The threads that decode and search, off the event loop."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serve.path.stages import Stages

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """A bounded pool for each stage: a search, which is short, never queues behind the decoding of others.

    The pools' queues are bounded too, by the searches that admission lets in. Work whose request was cancelled before
    a thread took it is dropped.
    """

    def __init__(self, *, threads: int) -> None:
        """Start no thread yet.

        Args:
            threads: of each pool; 0 takes one for each core that this process may use.
        """
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pools: dict[str, ThreadPoolExecutor] = {}

    async def run(self, stage: str, work: Callable[[], T], stages: Stages) -> T:
        """Run one stage of a request.

        Args:
            stage: its name; each has its pool.
            work: what to do; it blocks.
            stages: where its time is noted.
        """
        pool = self._pools.get(stage)
        if pool is None:
            pool = self._pools[stage] = ThreadPoolExecutor(self._threads, thread_name_prefix=stage)
        queued = time.perf_counter()

        def timed() -> tuple[T, float, float]:
            started = time.perf_counter()
            result = work()
            return result, started - queued, time.perf_counter() - started

        result, waited, worked = await asyncio.get_running_loop().run_in_executor(pool, timed)
        stages.record(stage, waited=waited, worked=worked)
        return result

    def close(self) -> None:
        """Wait for what runs; drop what waits."""
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
