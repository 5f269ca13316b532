"""A pool of processes on one machine, each with an encoder of its own."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from types import TracebackType

from src.pipelines.engines.protocol import WorkerDiedError
from src.pipelines.job import Job, Result, Task
from src.pipelines.stages.chain import run_task

__all__ = ["PoolEngine"]


class PoolEngine:
    """See `Engine`. Processes are spawned: a fork of a process that used OpenMP waits for ever."""

    def __init__(self, workers: int) -> None:
        """Keep the number of workers; 0 takes one a core."""
        self.tasks_at_once = workers or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "PoolEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See `Engine.run`; the pool is made anew after a worker died."""
        pool = self._started()
        waiting = list(reversed(tasks))
        running: dict[Future[Result], Task] = {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * self.tasks_at_once:
                    task = waiting.pop()
                    running[pool.submit(run_task, job, task)] = task
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool as error:
            self._end()
            raise WorkerDiedError(f"a worker process died ({error})") from error
        finally:
            for future in running:
                future.cancel()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Threads of OpenMP beside a process a core would only take turns.
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            self._pool = ProcessPoolExecutor(self.tasks_at_once, get_context("spawn"), initializer=_follow_parent)
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _follow_parent() -> None:
    """End this process when the driver ends: one that was killed could not tell its workers."""
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, name="parent", daemon=True).start()
