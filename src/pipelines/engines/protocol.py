"""What every engine can do, and which one a config names."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol

from src.contracts.errors import LookalikeError
from src.pipelines.job import Job, Result, Task
from src.pipelines.settings import EngineSettings

__all__ = ["Engine", "WorkerDiedError", "make_engine"]


class WorkerDiedError(LookalikeError):
    """A process that ran tasks ended without an answer: killed, out of memory, or by a fault in a library."""


class Engine(Protocol):
    """Runs tasks; a context manager, which starts and ends its workers.

    Attributes:
        tasks_at_once: how many it keeps busy with.
    """

    tasks_at_once: int

    def __enter__(self) -> "Engine": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield the results as they come, in any order.

        Raises:
            WorkerDiedError: a worker died; the tasks whose results were not yielded are still to be done.
        """
        ...


def make_engine(settings: EngineSettings) -> Engine:
    """The engine that a config names."""
    if settings.name == "spark":
        from src.pipelines.engines.spark import SparkEngine  # needs Java; imported where it is asked for

        return SparkEngine(master=settings.master, conf=settings.spark_conf(), batch_mb=settings.batch_mb)
    if settings.name == "pool":
        from src.pipelines.engines.pool import PoolEngine

        return PoolEngine(settings.workers)
    from src.pipelines.engines.in_process import InProcessEngine

    return InProcessEngine()
