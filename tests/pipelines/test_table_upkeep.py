"""Upkeep of the embeddings table: no look-up that may still be asked changes."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.embedding_rows import tombstones
from src.contracts.errors import TableError
from src.pipelines.embeddings_table import Lineage, append_embeddings, embedding_rows, open_embeddings
from src.pipelines.point_in_time import PointInTime, join_in_duckdb
from src.pipelines.table_upkeep import compact, delete_unused_files, remove_superseded
from tests.pipelines.conftest import make_embeddings

FROM = Lineage(run_id="r", bundle_id=None, source="images.parquet", source_version=None)
START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def filled(root: Path) -> Path:
    """Twelve appends of a few images, with events and times of creation out of order, and deletions."""
    rng = np.random.default_rng(0)
    for number in range(12):
        images = [f"i{image}/1" for image in sorted(rng.choice(5, 3, replace=False))]
        event, created = day(int(rng.integers(10))), day(int(rng.integers(12)))
        rows: pa.Table = make_embeddings(images, event_at=event, created_at=created, version=number % 2, seed=number)
        if number % 5 == 4:
            rows = tombstones(images, [image[:2] for image in images], encoder_id="e1", event_at=event)
            rows = rows.append_column("created_at", pa.array([created] * 3, pa.timestamp("us", tz="UTC")))
        append_embeddings(root, rows, batch_id=f"{number}", lineage=FROM)
    return root


def answers(root: Path, days: range) -> list[dict[str, Any]]:
    labels = [{"image_id": f"i{image}/1", "at": day(number)} for image in range(5) for number in days]
    schema = pa.schema([("image_id", pa.string()), ("at", pa.timestamp("us", tz="UTC"))])
    join = PointInTime(
        keys=("image_id",), at="at", columns=("content_hash",), prefix="", version="version", deleted="deleted"
    )
    rows = open_embeddings(root).to_pyarrow_dataset()
    return join_in_duckdb(pa.Table.from_pylist(labels, schema), rows, join).to_pylist()


def count(root: Path) -> int:
    return embedding_rows(open_embeddings(root)).read_all().num_rows


def test_rows_that_no_later_look_up_needs_are_removed(tmp_path: Path) -> None:
    root = filled(tmp_path / "t")
    before, rows, earlier = answers(root, range(6, 14)), count(root), answers(root, range(6))
    removed = remove_superseded(open_embeddings(root), since=day(6))
    assert 0 < removed == rows - count(root)
    assert answers(root, range(6, 14)) == before
    assert answers(root, range(6)) != earlier, "what is said of look-ups before"
    assert remove_superseded(open_embeddings(root), since=day(6)) == 0


def test_an_append_beside_a_removal_is_kept(tmp_path: Path) -> None:
    root = filled(tmp_path / "t")
    table, rows = open_embeddings(root), count(root)
    append_embeddings(root, make_embeddings(["new/1"]), batch_id="new", lineage=FROM)
    removed = remove_superseded(table, since=day(6))
    assert count(root) == rows - removed + 1


def test_compaction_keeps_rows_and_deletion_only_what_is_unused(tmp_path: Path) -> None:
    root = filled(tmp_path / "t")
    before, old = answers(root, range(14)), open_embeddings(root)
    append_embeddings(root, make_embeddings(["new/1"]), batch_id="new", lineage=FROM)
    assert compact(old)["numFilesRemoved"] == 12, "at the version from before the append"
    assert answers(root, range(14)) == before
    assert count(root) == embedding_rows(open_embeddings(root, version=13)).read_all().num_rows
    assert delete_unused_files(open_embeddings(root)) == [], "older versions can still be read"
    past = time.time() - timedelta(days=40).total_seconds()
    for file in root.glob("*.parquet"):
        os.utime(file, (past, past))
    left = delete_unused_files(open_embeddings(root), keep=timedelta(days=7))
    assert answers(root, range(14)) == before
    assert set(left).isdisjoint(open_embeddings(root).file_uris())


def test_what_could_lose_rows_is_refused(tmp_path: Path) -> None:
    table = open_embeddings(filled(tmp_path / "t"))
    with pytest.raises(TableError, match="in the future"):
        remove_superseded(table, since=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(TableError, match="at least 7 days"):
        delete_unused_files(table, keep=timedelta(hours=1))
