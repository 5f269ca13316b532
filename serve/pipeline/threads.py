"""Thread pools for the stages that block, off the event loop."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serve.stages import Stages

__all__ = ["ThreadPools"]

T = TypeVar("T")


class ThreadPools:
    """A bounded pool for each stage, so that a short search never queues behind the decoding of other photos.

    Work that is cancelled before a thread took it is dropped. Admission bounds the queues.
    """

    def __init__(self, *, threads: int) -> None:
        """Start no thread yet; each pool gets `threads`, or, with 0, one for each core that this process may use."""
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pools: dict[str, ThreadPoolExecutor] = {}

    async def run(self, stage: str, work: Callable[[], T], stages: Stages, *, pool: str = "", threads: int = 0) -> T:
        """Run one stage of a request on a thread and record its time.

        Its pool is named `stage`, as in the metrics, unless `pool` says otherwise, and has the default size, unless
        `threads` does.
        """
        name = pool or stage
        if name not in self._pools:
            self._pools[name] = ThreadPoolExecutor(threads or self._threads, thread_name_prefix=name)
        queued = time.perf_counter()

        def timed() -> tuple[T, float, float]:
            started = time.perf_counter()
            result = work()
            return result, started - queued, time.perf_counter() - started

        result, waited, worked = await asyncio.get_running_loop().run_in_executor(self._pools[name], timed)
        stages.record(stage, waited=waited, worked=worked)
        return result

    def close(self) -> None:
        """Wait for the work that runs, and drop what waits."""
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
