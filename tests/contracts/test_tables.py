"""The tables keep their schemas, and vectors survive packing."""

import io
import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import TableError
from src.contracts.tables import (
    INTERACTIONS,
    ITEMS,
    embeddings_schema,
    pack_vectors,
    unpack_vectors,
    validate_interactions,
    validate_items,
)


def items(**columns: list) -> pa.Table:
    rows = {"image_id": ["a", "b"], "item_id": ["1", "2"], "image": ["a.jpg", "b.jpg"], **columns}
    return pa.table({name: values for name, values in rows.items() if values is not None})


def interactions(**columns: list) -> pa.Table:
    rows = {
        "event_at": [datetime(2026, 1, 1, tzinfo=UTC)] * 2,
        "session_id": ["s", "s"],
        "query_image_id": ["a", "a"],
        "item_id": ["1", "2"],
        "rank": [1, 2],
        "event": ["impression", "click"],
        **columns,
    }
    return pa.table(rows)


def test_three_columns_are_enough_and_the_rest_is_null() -> None:
    table = validate_items(items())
    assert table.schema.names == ITEMS.names
    assert table.schema.types == ITEMS.types
    assert all(table[name].null_count == 2 for name in ITEMS.names if name not in ("image_id", "item_id", "image"))


def test_further_columns_are_kept_after_ours() -> None:
    table = validate_items(items(season=["summer", "winter"], brand=["x", None]))
    assert table.schema.names == [*ITEMS.names, "season"]
    assert table["season"].to_pylist() == ["summer", "winter"]
    assert table["brand"].to_pylist() == ["x", None]


def test_values_that_fit_are_cast() -> None:
    table = validate_items(
        items(
            item_id=[7, 8],
            price=[1, 2],
            category=pa.array(["a", "b"]).dictionary_encode(),
            listed_at=pa.array([0, 1], pa.timestamp("ms", tz="UTC")),
        )
    )
    assert table["item_id"].to_pylist() == ["7", "8"]
    assert table.schema.types == ITEMS.types


def test_an_empty_table_is_valid() -> None:
    assert validate_items(ITEMS.empty_table()).num_rows == 0
    assert validate_interactions(INTERACTIONS.empty_table()).num_rows == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": None}, "'image' is missing"),
        ({"item_id": ["1", None]}, "'item_id' is null in 1 row"),
        ({"price": ["cheap", "dear"]}, "'price' is string, not double"),
        ({"listed_at": [True, False]}, "'listed_at' is bool"),
        ({"image_id": ["a", "a"]}, "image_id must be unique; 1 repeat, the first is 'a'"),
        ({"domain": ["catalogue", "studio"]}, "domain='studio' is none of catalogue, user"),
        ({"split": ["train", "dev"]}, "split='dev' is none of train, val, test, all"),
        ({"item_id": ["1", "1"], "parent_id": ["p", "q"]}, "item '1' stands under more than one parent_id"),
    ],
)
def test_each_broken_rule_is_named(columns: dict, message: str) -> None:
    with pytest.raises(TableError, match="items table") as caught:
        validate_items(items(**columns))
    assert message in str(caught.value)


def test_all_broken_rules_stand_in_one_message() -> None:
    table = pa.table(
        {
            "image_id": ["a", "a", "c"],
            "item_id": ["1", "1", None],
            "parent_id": ["p", "q", None],
            "price": ["x", "y", "z"],
            "domain": ["studio", "user", None],
        }
    )
    with pytest.raises(TableError) as caught:
        validate_items(table)
    message = str(caught.value)
    for part in ("'image' is missing", "'item_id' is null", "'price'", "unique", "studio", "more than one parent"):
        assert part in message, part


def test_one_parent_or_none_may_stand_at_an_item() -> None:
    validate_items(items(item_id=["1", "1"], parent_id=["p", None]))
    validate_items(items(item_id=["1", "2"], parent_id=["p", "p"]))


def test_interactions_are_checked() -> None:
    assert validate_interactions(interactions()).schema.types == INTERACTIONS.types
    with pytest.raises(TableError, match="event='view' is none of") as caught:
        validate_interactions(interactions(event=["view", "click"], rank=[0, 1]))
    assert "ranks count from 1" in str(caught.value)
    with pytest.raises(TableError, match="'rank' is null in 1 row"):
        validate_interactions(interactions(rank=[1, None]))


@pytest.mark.parametrize("name", ["session_id", "query_image_id", "item_id", "event"])
def test_nan_in_a_log_is_no_id_of_that_name(name: str) -> None:
    with pytest.raises(TableError, match=rf"column '{name}' is null in 1 row\(s\), first in row 2"):
        validate_interactions(interactions(**{name: [1.0, float("nan")]}))
    with pytest.raises(TableError, match=rf"column '{name}' is null in 1 row\(s\), first in row 2"):
        validate_interactions(interactions(**{name: pa.array([1.0, float("nan")]).dictionary_encode()}))


def test_numbers_and_nanoseconds_of_a_log_are_read() -> None:
    nanoseconds = pa.array([1, 1_700_000_000_123_456_789], pa.timestamp("ns", "UTC"))
    log = validate_interactions(interactions(item_id=[7.0, 8.0], event_at=nanoseconds, variant=[1.0, float("nan")]))
    assert log["item_id"].to_pylist() == ["7", "8"]
    assert log["variant"].to_pylist() == ["1", None]
    assert log["event_at"].cast(pa.int64()).to_pylist() == [0, 1_700_000_000_123_456]
    with pytest.raises(TableError, match=r"row 2: item_id=1.5: not a whole number; store ids as strings"):
        validate_interactions(interactions(item_id=[1.0, 1.5]))


@pytest.mark.parametrize(("rows", "dim"), [(0, 4), (1, 1), (7, 5), (1000, 64)])
def test_vectors_survive_packing(rows: int, dim: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((rows, dim)).astype(np.float32)
    packed = pack_vectors(vectors)
    assert packed.type == pa.binary(2 * dim)
    # Half of float16's spacing, relative.
    np.testing.assert_allclose(unpack_vectors(packed), vectors, rtol=2**-11, atol=1e-7)


def test_packed_bytes_are_little_endian_halves() -> None:
    assert pack_vectors(np.array([[1.0, -2.0]]))[0].as_py() == b"\x00\x3c\x00\xc0"


def test_slices_and_chunks_unpack_to_their_own_rows() -> None:
    vectors = np.random.default_rng(1).standard_normal((20, 3)).astype(np.float16)
    packed = pack_vectors(vectors)
    expected = vectors.astype(np.float32)
    np.testing.assert_array_equal(unpack_vectors(packed.slice(4, 9)), expected[4:13])
    np.testing.assert_array_equal(unpack_vectors(packed.slice(20)), expected[:0])
    chunked = pa.chunked_array([packed.slice(2, 5), packed.slice(0, 0), packed.slice(11)])
    np.testing.assert_array_equal(unpack_vectors(chunked), np.concatenate([expected[2:7], expected[11:]]))
    np.testing.assert_array_equal(unpack_vectors(chunked.slice(3, 4)), np.concatenate([expected[5:7], expected[11:13]]))
    assert unpack_vectors(pa.chunked_array([], packed.type)).shape == (0, 3)


def test_vectors_that_are_not_contiguous_are_packed_by_value() -> None:
    vectors = np.arange(24, dtype=np.float64).reshape(4, 6)[::2, ::-2]
    np.testing.assert_array_equal(unpack_vectors(pack_vectors(vectors)), vectors)


def test_the_embeddings_table_survives_parquet() -> None:
    vectors = np.random.default_rng(2).standard_normal((5, 8)).astype(np.float16)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "image_id": list("abcde"),
            "item_id": list("11223"),
            "encoder_id": ["e"] * 5,
            "content_hash": ["h"] * 5,
            "event_at": [None, now, now, now, now],
            "created_at": [now] * 5,
            "dim": pa.array([8] * 5, pa.int32()),
            "vector": pack_vectors(vectors),
            "norm": pa.array(np.linalg.norm(vectors.astype(np.float32), axis=1)),
        },
        schema=embeddings_schema(8),
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=2)
    back = pq.read_table(buffer)
    assert back.schema.equals(embeddings_schema(8))
    np.testing.assert_array_equal(unpack_vectors(back["vector"]), vectors.astype(np.float32))
    # Not Parquet's FLOAT16, which Spark cannot read.
    described = pq.ParquetFile(buffer).schema.column(7)
    assert described.physical_type == "FIXED_LEN_BYTE_ARRAY"
    assert json.loads(described.logical_type.to_json())["Type"] == "None"
