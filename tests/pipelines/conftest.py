"""What the pipelines' tests share: one Spark session a process, and rows of the embeddings table."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.tables import pack_vectors

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """Spark on two threads of this process's machine; it starts in some seconds, once."""
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["TZ"] = "UTC"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .appName("lookalike-tests")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        # Planning anew between stages costs more than these small queries.
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.default.parallelism", "2")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.sql.files.openCostInBytes", "0")
        .config("spark.log.level", "ERROR")
        .config("spark.executorEnv.OMP_NUM_THREADS", "1")
        .getOrCreate()
    )
    yield session
    session.stop()


def unit_vectors(count: int, dim: int = 8, *, seed: int = 0) -> np.ndarray:
    """float32 of shape (count, dim), of norm 1."""
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_embeddings(
    images: list[str],
    *,
    encoder: str = "e1",
    event_at: datetime | None = datetime(2026, 1, 1, tzinfo=UTC),
    created_at: datetime | None = None,
    version: int = 0,
    seed: int = 0,
    dim: int = 8,
) -> pa.Table:
    """Rows for the embeddings table, one an image; image `x/1` is of item `x`."""
    count = len(images)
    utc = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "image_id": images,
            "item_id": [image.split("/")[0] for image in images],
            "encoder_id": [encoder] * count,
            "content_hash": [f"{image}-{seed}" for image in images],
            "event_at": pa.array([event_at] * count, utc),
            "created_at": pa.array([created_at] * count, utc),
            "dim": pa.array([dim] * count, pa.int32()),
            "vector": pack_vectors(unit_vectors(count, dim, seed=seed)),
            "norm": pa.array([3.0] * count, pa.float32()),
            "version": pa.array([version] * count, pa.int64()),
        }
    )
