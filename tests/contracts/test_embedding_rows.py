"""The check of rows that are to be appended to the embeddings table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.embedding_rows import EMBEDDING_ROWS, tombstones, validate_embeddings
from src.contracts.errors import TableError
from src.contracts.tables import embeddings_schema, pack_vectors

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def rows(**changed: Any) -> pa.Table:
    """Two rows of the contract, with some columns of other values; None leaves a column out."""
    vectors = np.eye(2, 4, dtype=np.float32)
    columns: dict[str, Any] = {
        "image_id": ["a/1", "b/1"],
        "item_id": ["a", "b"],
        "encoder_id": ["e", "e"],
        "content_hash": ["h1", "h2"],
        "event_at": pa.array([NOW, None], pa.timestamp("us", tz="UTC")),
        "dim": pa.array([4, 4], pa.int32()),
        "vector": pack_vectors(vectors),
        "norm": pa.array([2.0, 0.5], pa.float32()),
    } | changed
    return pa.table({name: values for name, values in columns.items() if values is not None})


def test_the_contract_is_that_of_the_tables_module() -> None:
    contract = embeddings_schema(4)
    for field in contract:
        ours = EMBEDDING_ROWS.field(field.name)
        assert (ours.type, ours.nullable) == (pa.binary() if field.name == "vector" else field.type, field.nullable)


def test_what_may_be_left_out_is_filled_in() -> None:
    checked = validate_embeddings(rows(), now=NOW)
    assert checked.schema == EMBEDDING_ROWS
    assert checked["created_at"].to_pylist() == [NOW, NOW]
    assert checked["version"].to_pylist() == [0, 0]
    assert checked["deleted"].to_pylist() == [False, False]


def test_tombstones_pass() -> None:
    buried = tombstones(["a/1"], ["a"], encoder_id="e", event_at=NOW)
    assert validate_embeddings(buried, now=NOW)["deleted"].to_pylist() == [True]
    assert validate_embeddings(rows().slice(0, 0), now=NOW).num_rows == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image_id": None}, "'image_id' is missing"),
        ({"image_id": ["a/1", None]}, "'image_id' is null in 1 row"),
        ({"vector": pa.array([b"1234", b"12345678"], pa.binary())}, "image 'a/1': 4 bytes in column vector and dim=4"),
        ({"dim": pa.array([4, 8], pa.int32())}, "'e' has dim 4 and 8"),
        ({"dim": pa.array([0, 0], pa.int32())}, "dim at least 1"),
        ({"vector": pack_vectors(3 * np.eye(2, 4))}, "image 'a/1': a vector of norm 3 "),
        ({"vector": pack_vectors(np.full((2, 4), np.nan))}, "a vector of norm nan"),
        ({"norm": pa.array([1, 0], pa.float32())}, "image 'b/1': norm=0.0"),
        ({"norm": pa.array([1, np.inf], pa.float32())}, "image 'b/1': norm=inf"),
        ({"created_at": [NOW, NOW + timedelta(hours=1)]}, "later than now; leave it out"),
        ({"image_id": ["a/1", "a/1"], "event_at": [NOW, NOW]}, "image 'a/1' has 2 rows of equal times and version"),
        ({"deleted": [True, False]}, "deleted=true: must be empty"),
    ],
)
def test_bad_rows_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        validate_embeddings(rows(**changed), now=NOW)


def test_two_versions_of_one_image_pass() -> None:
    twice = rows(image_id=["a/1", "a/1"], event_at=[NOW, NOW], version=pa.array([1, 2]))
    assert validate_embeddings(twice, now=NOW).num_rows == 2
