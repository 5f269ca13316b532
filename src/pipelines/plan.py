"""The plan of a run: its rows in files that workers read, and the tasks that these make up."""

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from src.pipelines.job import Job, Task, joined
from src.pipelines.stages.rows import PLANNED
from src.pipelines.state import State

__all__ = ["write_plan"]

_TASKS_A_FILE = 64


def write_plan(state: State, job: Job, task_rows: int) -> list[Task]:
    """Write the rows that a run looks at.

    Args:
        state: of the tables, before the run.
        job: the run.
        task_rows: rows of a task; a task is a row group of a file.

    Returns:
        The tasks, in the order of the files.
    """
    schema = pa.schema(PLANNED)
    tasks: list[Task] = []
    group = pa.table({field.name: pa.array([], field.type) for field in schema})
    with _Writer(job, schema) as writer:
        for batch in state.plan(task_rows):
            group = pa.concat_tables([group, pa.table(batch).cast(schema)])
            while len(group) >= task_rows:
                tasks.append(writer.write(group.slice(0, task_rows)))
                group = group.slice(task_rows)
        if len(group):
            tasks.append(writer.write(group))
    return tasks


class _Writer:
    def __init__(self, job: Job, schema: pa.Schema) -> None:
        self._folder, self._schema = joined(job.work, "plan"), schema
        backend, path = fsspec.core.url_to_fs(self._folder)
        backend.makedirs(path, exist_ok=True)
        self._writer: pq.ParquetWriter | None = None
        self._written = 0

    def __enter__(self) -> "_Writer":
        return self

    def write(self, rows: pa.Table) -> Task:
        number, group = divmod(self._written, _TASKS_A_FILE)
        if group == 0:
            self._close()
            self._path = joined(self._folder, f"{number:06d}.parquet")
            self._file = fsspec.open(self._path, "wb").open()
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        assert self._writer is not None
        self._writer.write_table(rows, row_group_size=len(rows))
        self._written += 1
        return Task(self._path, group, 0, len(rows))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._file.close()

    def __exit__(self, *_: object) -> None:
        self._close()
