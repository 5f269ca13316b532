"""The driver's own process: pictures are decoded in threads, ahead of the encoder, which has all cores or the GPU."""

from collections.abc import Iterator, Sequence
from types import TracebackType

from src.pipelines.job import Job, Result, Task
from src.pipelines.stages.chain import run_task

__all__ = ["InProcessEngine"]


class InProcessEngine:
    """See `Engine`. A worker that dies here is the whole run."""

    tasks_at_once = 1

    def __enter__(self) -> "InProcessEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See `Engine.run`."""
        for task in tasks:
            yield task, run_task(job, task)
