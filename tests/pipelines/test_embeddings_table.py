"""The embeddings table: atomic appends that are applied once, several writers, streams, lineage."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from src.contracts.embedding_rows import tombstones
from src.contracts.errors import TableError
from src.pipelines.embeddings_table import (
    Lineage,
    append_embeddings,
    embedding_rows,
    embedding_runs,
    open_embeddings,
)
from tests.pipelines.conftest import make_embeddings

FROM = Lineage(run_id="r1", bundle_id="b1", source="images.parquet", source_version="3")


def append(root: Path, rows: Any, batch_id: str) -> bool:
    return append_embeddings(root, rows, batch_id=batch_id, lineage=FROM)


def stored(root: Path, **arguments: Any) -> list[dict[str, Any]]:
    rows = embedding_rows(open_embeddings(root), **arguments).read_all().to_pylist()
    return sorted(rows, key=lambda row: (row["image_id"], row["batch_id"]))


def test_rows_come_back_as_they_were_appended(tmp_path: Path) -> None:
    rows = make_embeddings(["a/1", "b/1"])
    before = datetime.now(UTC)
    assert append(tmp_path / "t", rows, "r1/0")
    found = stored(tmp_path / "t")
    assert [row["image_id"] for row in found] == ["a/1", "b/1"]
    assert [row["vector"] for row in found] == rows["vector"].to_pylist()
    assert all(before <= row["created_at"] <= datetime.now(UTC) for row in found), "filled in by the append"
    assert {(row["batch_id"], row["version"], row["deleted"]) for row in found} == {("r1/0", 0, False)}


def test_an_append_that_is_tried_again_is_applied_once(tmp_path: Path) -> None:
    rows = make_embeddings(["a/1"])
    assert append(tmp_path / "t", rows, "r1/0")
    assert not append(tmp_path / "t", rows, "r1/0")
    assert append(tmp_path / "t", rows, "r1/1")
    assert len(stored(tmp_path / "t")) == 2


@pytest.mark.parametrize("same", [False, True])
def test_writers_append_at_once(tmp_path: Path, same: bool) -> None:
    """Delta's writers meet in the file system only, so that threads show what processes would."""
    start = threading.Barrier(6)

    def write(number: int) -> bool:
        start.wait()
        return append(tmp_path / "t", make_embeddings([f"i{number}/1"]), "r1/0" if same else f"r1/{number}")

    with ThreadPoolExecutor(6) as pool:
        applied = sorted(pool.map(write, range(6)))
    assert applied == ([False] * 5 + [True] if same else [True] * 6)
    assert len(stored(tmp_path / "t")) == (1 if same else 6)


def test_a_stream_with_a_bad_batch_appends_nothing(tmp_path: Path) -> None:
    assert append(tmp_path / "t", make_embeddings(["z/1"]), "r0/0")
    good, bad = make_embeddings(["a/1"]), make_embeddings(["b/1"])
    bad = bad.set_column(bad.column_names.index("norm"), "norm", pa.array([float("nan")], pa.float32()))
    stream = pa.RecordBatchReader.from_batches(good.schema, [*good.to_batches(), *bad.to_batches()])
    with pytest.raises(TableError, match=r"image 'b/1': norm=nan"):
        append(tmp_path / "t", stream, "r1/0")
    assert [row["image_id"] for row in stored(tmp_path / "t")] == ["z/1"]
    stream = pa.RecordBatchReader.from_batches(good.schema, good.to_batches())
    assert append(tmp_path / "t", stream, "r1/0"), "the id is free again"


def test_one_encoder_and_some_columns_are_read(tmp_path: Path) -> None:
    append(tmp_path / "t", make_embeddings(["a/1"]), "r1/0")
    append(tmp_path / "t", make_embeddings(["a/1"], encoder="e2", dim=4), "r1/1")
    found = embedding_rows(open_embeddings(tmp_path / "t"), encoder_id="e2", columns=["image_id", "dim"]).read_all()
    assert found.to_pylist() == [{"image_id": "a/1", "dim": 4}]


def test_runs_and_older_versions(tmp_path: Path) -> None:
    append(tmp_path / "t", make_embeddings(["a/1", "b/1"]), "r1/0")
    first = open_embeddings(tmp_path / "t").version()
    append(tmp_path / "t", tombstones(["a/1"], ["a"], encoder_id="e1", event_at=None), "r2/0")
    table = open_embeddings(tmp_path / "t")
    newest, oldest = embedding_runs(table)
    assert (newest["batch_id"], newest["rows"]) == ("r2/0", 1)
    assert oldest | {"committed_at": None} == {
        "version": first, "committed_at": None, "batch_id": "r1/0", "run_id": "r1", "bundle_id": "b1",
        "source": "images.parquet", "source_version": "3", "rows": 2,
    }  # fmt: skip
    assert datetime.now(UTC) - oldest["committed_at"] < timedelta(minutes=5)
    assert [run["batch_id"] for run in embedding_runs(table, batch_id="r1/0")] == ["r1/0"]
    assert embedding_rows(open_embeddings(tmp_path / "t", version=first)).read_all().num_rows == 2


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no embeddings table there"):
        open_embeddings(tmp_path / "none")
    append(tmp_path / "t", make_embeddings(["a/1"]), "r1/0")
    with pytest.raises(TableError, match="at version 9"):
        open_embeddings(tmp_path / "t", version=9)
