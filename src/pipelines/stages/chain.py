"""The stages in their order: one half decodes, the other embeds and writes."""

import os
from collections.abc import Iterator
from queue import Queue
from threading import Event, Thread

import pyarrow as pa

from src.pipelines.job import Job, Result, Task
from src.pipelines.stages.embed import embed_stage
from src.pipelines.stages.normalise import normalise_stage
from src.pipelines.stages.read import read_stage
from src.pipelines.stages.rows import batches_of, rebatched
from src.pipelines.stages.write import write_task

__all__ = ["decoded", "embedded_and_written", "run_task"]


def run_task(job: Job, task: Task) -> Result:
    """Take a task through all stages in this process; pictures are decoded ahead of the encoder in a thread."""
    batches = decoded(job, task)
    return embedded_and_written(job, _ahead(batches, job.ahead) if job.ahead else batches)


def decoded(job: Job, task: Task) -> Iterator[pa.RecordBatch]:
    """The first half: plan to pixels."""
    most = job.batch_mb * 2**20
    read = read_stage(job)(batches_of(task.planned(), job.batch))
    yield from normalise_stage(job)(rebatched(read, rows=job.batch, bytes_=most))


def embedded_and_written(job: Job, batches: Iterator[pa.RecordBatch]) -> Result:
    """The second half: pixels to files."""
    return write_task(job, embed_stage(job)(batches))


def _ahead(batches: Iterator[pa.RecordBatch], count: int) -> Iterator[pa.RecordBatch]:
    """Draw batches in a thread, at most `count` ahead of the consumer."""
    queue: Queue[pa.RecordBatch | BaseException | None] = Queue(count)
    stopped = Event()

    def draw() -> None:
        last: BaseException | None = None
        try:
            for batch in batches:
                queue.put(batch)
                if stopped.is_set():
                    return
        except BaseException as error:
            last = error
        queue.put(last)

    thread = Thread(target=draw, name=f"decoding-{os.getpid()}", daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            # The thread may wait for room in the queue.
            while not queue.empty():
                queue.get_nowait()
            thread.join(0.05)
