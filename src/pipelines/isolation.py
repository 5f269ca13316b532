"""Tasks are done whatever happens to their workers: a row that ends its worker is found, and goes to quarantine."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from src.pipelines.engines import Engine, WorkerDiedError
from src.pipelines.fingerprint import fingerprint
from src.pipelines.job import Job, Result, Task
from src.pipelines.stages.embed import embed_stage
from src.pipelines.stages.rows import batches_of, with_columns
from src.pipelines.stages.write import write_task

__all__ = ["results_of"]

log = logging.getLogger(__name__)

_DETAIL = "the process that decoded it died each time; it is tried again when the file changes"
_ATTEMPTS = 2
"""Deaths of a worker that has one row, until the row is to blame: one may be the system's doing."""


def results_of(engine: Engine, job: Job, tasks: Sequence[Task]) -> Iterator[Result]:
    """Run tasks, each row of them once.

    When a worker dies, what it was doing is done again, one task at a time; a task whose worker dies again is halved,
    down to the row that does it.

    Args:
        engine: started.
        job: the run.
        tasks: what to do.
    """
    left = dict.fromkeys(tasks)
    try:
        for task, result in engine.run(job, tasks):
            del left[task]
            yield result
        return
    except WorkerDiedError as error:
        log.warning("%s; its tasks are done again", error)
    suspects = list(left)[: 2 * engine.tasks_at_once]
    for task in suspects:
        yield from _alone(engine, job, task)
        del left[task]
    yield from results_of(engine, job, list(left)) if left else ()


def _alone(engine: Engine, job: Job, task: Task) -> Iterator[Result]:
    for _ in range(_ATTEMPTS if len(task) == 1 else 1):
        try:
            yield from [result for _, result in engine.run(job, [task])]
            return
        except WorkerDiedError as error:
            log.warning("%s at %d rows", error, len(task))
    if len(task) == 1:
        yield _blamed(job, task)
        return
    middle = (task.start + task.stop) // 2
    yield from _alone(engine, job, replace(task, stop=middle))
    yield from _alone(engine, job, replace(task, start=middle))


def _blamed(job: Job, task: Task) -> Result:
    batches = (
        with_columns(batch, state=["new"], file=_file(job, batch), reason=["worker_died"], detail=[_DETAIL])
        for batch in batches_of(task.planned(), 1)
    )
    return write_task(job, embed_stage(job)(batches))


def _file(job: Job, batch: pa.RecordBatch) -> list[str | None]:
    try:
        return [fingerprint(Path(job.root), batch.column("image")[0].as_py()).value]
    except Exception:  # each backend raises its own
        return [None]
