"""The latest view: corrections, late rows, tombstones, encoders apart, an earlier time, and what an index reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.embedding_rows import tombstones
from src.contracts.errors import TableError
from src.contracts.tables import embeddings_schema, unpack_vectors
from src.pipelines.embeddings_table import Lineage, append_embeddings, open_embeddings
from src.pipelines.latest_embeddings import latest_embeddings
from tests.pipelines.conftest import make_embeddings, unit_vectors

FROM = Lineage(run_id="r", bundle_id=None, source="images.parquet", source_version=None)
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def append(root: Path, *tables: pa.Table) -> None:
    for number, rows in enumerate(tables):
        append_embeddings(root, rows, batch_id=f"{number}", lineage=FROM)


def latest(root: Path, **options: Any) -> dict[str, str]:
    """The content hash by image."""
    with latest_embeddings(open_embeddings(root), **{"encoder_id": "e1"} | options) as rows:
        table = rows.read_all()
    assert len(set(table["image_id"].to_pylist())) == table.num_rows
    return dict(zip(table["image_id"].to_pylist(), table["content_hash"].to_pylist(), strict=True))


def test_the_latest_rows_in_the_contract_s_schema(tmp_path: Path) -> None:
    root = tmp_path / "t"
    append(
        root,
        make_embeddings(["a/1", "b/1"], event_at=START, created_at=START, seed=1),
        make_embeddings(["a/1"], event_at=START + DAY, created_at=START + DAY, seed=2),
        # Late: of an older event.
        make_embeddings(["a/1"], event_at=START - DAY, created_at=START + 2 * DAY, seed=3),
        make_embeddings(["b/1"], event_at=START, created_at=START, version=1, seed=4),
        make_embeddings(["a/1", "c/1"], encoder="e2", event_at=START + 9 * DAY, seed=5),
    )
    assert latest(root) == {"a/1": "a/1-2", "b/1": "b/1-4"}
    assert latest(root, at=START + DAY / 2) == {"a/1": "a/1-1", "b/1": "b/1-4"}
    assert latest(root, at=START - DAY) == {}
    assert latest(root, encoder_id="e2") == {"a/1": "a/1-5", "c/1": "c/1-5"}
    with latest_embeddings(open_embeddings(root), encoder_id="e1") as rows:
        assert rows.schema == embeddings_schema(8)
        table = rows.read_all().sort_by("image_id")
    np.testing.assert_array_equal(
        unpack_vectors(table["vector"])[0], unit_vectors(1, seed=2).astype(np.float16).astype(np.float32)[0]
    )


def test_a_tombstone_ends_an_image_until_it_comes_back(tmp_path: Path) -> None:
    root = tmp_path / "t"
    gone = tombstones(["a/1"], ["a"], encoder_id="e1", event_at=START + DAY)
    back = make_embeddings(["a/1"], event_at=START + 2 * DAY, seed=2)
    append(root, make_embeddings(["a/1", "b/1"], event_at=START, seed=1), gone)
    assert latest(root) == {"b/1": "b/1-1"}
    append_embeddings(root, back, batch_id="back", lineage=FROM)
    assert latest(root) == {"a/1": "a/1-2", "b/1": "b/1-1"}


def test_an_encoder_without_rows_or_with_two_dimensions_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "t"
    append(root, make_embeddings(["a/1"]), make_embeddings(["b/1"], dim=4))
    with pytest.raises(TableError, match="encoder_id='e9': no embeddings"):
        latest(root, encoder_id="e9")
    with pytest.raises(TableError, match="dimensions 4, 8"):
        latest(root)
