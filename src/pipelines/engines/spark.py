"""Spark: a task is a partition; one Python worker decodes, another embeds and writes, so that neither waits.

Between the two go Arrow batches of at most `batch_mb`. Nothing else comes back to the driver than which files were
written: pixels and vectors never pass through it.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from src.contracts.errors import LookalikeError
from src.pipelines.engines.protocol import WorkerDiedError
from src.pipelines.job import Job, Result, Task
from src.pipelines.stages.chain import decoded, embedded_and_written
from src.pipelines.stages.rows import ROWS

__all__ = ["SparkEngine", "spark_session"]

_ROOT = Path(__file__).resolve().parents[3]
_RESULTS = pa.schema([pa.field("task", pa.int64()), pa.field("result", pa.string())])
_TASKS_A_WAVE = 4
"""For each that runs at once: results arrive, and are committed, a wave at a time."""
_DEAD = ("Python worker exited unexpectedly", "ExecutorLostFailure", "crashed", "EOFException", "Connection reset")


class SparkEngine:
    """See `Engine`."""

    def __init__(self, *, master: str, conf: Mapping[str, str], batch_mb: int) -> None:
        """Keep the settings; the session starts with the context.

        Args:
            master: `local[N]`, or a cluster's address.
            conf: further Spark settings.
            batch_mb: most MiB of a batch between two stages.
        """
        self._master, self._conf, self._batch_mb = master, conf, batch_mb
        self.tasks_at_once = 0

    def __enter__(self) -> "SparkEngine":
        self._ours = SparkSession.getActiveSession() is None
        self._spark = spark_session(self._master, self._conf, batch_mb=self._batch_mb)
        self.tasks_at_once = self._spark.sparkContext.defaultParallelism
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            self._spark.stop()

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See `Engine.run`; two waves are under way, so that the end of one leaves no core idle."""
        wave = _TASKS_A_WAVE * self.tasks_at_once
        waves = [tasks[start : start + wave] for start in range(0, len(tasks), wave)]
        failure: Exception | None = None
        with ThreadPoolExecutor(2) as threads:
            futures = [threads.submit(self._wave, job, some) for some in waves]
            for future in as_completed(futures):
                if future.cancelled():
                    continue
                try:
                    results = future.result()
                except PySparkException as error:
                    failure = failure or error
                    for other in futures:
                        other.cancel()
                    continue
                yield from results
        if failure is not None:
            raise _explained(failure) from failure

    def _wave(self, job: Job, tasks: Sequence[Task]) -> list[tuple[Task, Result]]:
        frame = self._spark.range(0, len(tasks), 1, len(tasks))
        # Each a Spark operation, hence each with a Python worker of its own for every partition.
        rows = frame.mapInArrow(_decoding(job, tasks), from_arrow_schema(ROWS))
        results = rows.mapInArrow(_embedding(job), from_arrow_schema(_RESULTS)).collect()
        return [(tasks[row.task], Result.from_dict(json.loads(row.result))) for row in results]


def spark_session(master: str, conf: Mapping[str, str], *, batch_mb: int) -> SparkSession:
    """The session of this process, or a new one.

    Args:
        master: `local[N]`, or a cluster's address.
        conf: further Spark settings.
        batch_mb: most MiB of an Arrow batch.

    Raises:
        LookalikeError: there is no Java 17.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    settings = {
        "spark.sql.execution.arrow.maxBytesPerBatch": str(batch_mb * 2**20),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        # Many small files are packed into one partition by their bytes alone.
        "spark.sql.files.openCostInBytes": "0",
        # An encoder's workers are expensive to start: executors stay.
        "spark.dynamicAllocation.enabled": "false",
        "spark.python.worker.reuse": "true",
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder.master(master).appName("lookalike")
    for name, value in (settings | dict(conf)).items():
        builder = builder.config(name, value)
    try:
        spark: SparkSession = builder.getOrCreate()
    except Exception as error:  # the gateway's own error says only that Java went away
        raise LookalikeError(
            f"`engine=spark`, `engine.master={master}`: no Spark session starts ({error}); install Java 17 "
            "(openjdk-17-jre-headless), or set `engine=pool`"
        ) from error
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _decoding(job: Job, tasks: Sequence[Task]) -> Any:
    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                yield from decoded(job, tasks[number])

    return decode


def _embedding(job: Job) -> Any:
    def embed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        result = embedded_and_written(job, map(_as_sent, batches))
        context = TaskContext.get()
        assert context is not None
        values = [[context.partitionId()], [json.dumps(result.to_dict())]]
        yield pa.record_batch(values, schema=_RESULTS)

    return embed


def _as_sent(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch in the types that it had before Spark."""
    return pa.record_batch([batch.column(field.name).cast(field.type) for field in ROWS], schema=ROWS)


def _explained(error: Exception) -> Exception:
    text = str(error)
    if any(sign in text for sign in _DEAD):
        return WorkerDiedError("a Python worker of Spark died")
    return error
