"""Milvus against brute force, with a real milvus-lite in a local file."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from milvus_lite.server_manager import server_manager_instance
from pymilvus import MilvusClient

from src.contracts.errors import ConfigError, FilterError, LookalikeError, TableError
from src.index.filters import AnyOf, Between
from src.index.milvus_capabilities import Capabilities
from src.index.milvus_columns import Attribute
from src.index.milvus_filters import expression
from src.index.milvus_index import MilvusIndex

DIM = 16
ROWS = 600
ATTRIBUTES = {"category": pa.string(), "price": pa.float64(), "in_stock": pa.bool_(), "stars": pa.int64()}
UGLY = ['a"b', "a'b", "a\\b", "a\\", 'x" or image_id != "', "tab\tnew\nline", "шуба", "", "{x}", "%", "100%_"]


def unit(rows: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = unit(ROWS)
NAMES = [f"image-{row}" for row in range(ROWS)]
# One item has a third of the images.
ITEMS = [f"item-{0 if row % 3 == 0 else row // 5}" for row in range(ROWS)]
COLUMNS = {
    "category": [f"category-{row % 4}" for row in range(ROWS)],
    "price": [None if row % 7 == 0 else float(row) for row in range(ROWS)],
    "in_stock": [row % 2 == 0 for row in range(ROWS)],
    "stars": [row % 5 for row in range(ROWS)],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A milvus-lite that runs as long as the tests of this file."""
    path = str(tmp_path_factory.mktemp("milvus") / "shop.db")
    with MilvusIndex.create(path, "keeps_it_open", dim=DIM, kind="FLAT"):
        yield path
    # The server stopped with the last index that had its file open.
    assert not server_manager_instance._servers


@pytest.fixture(scope="module", params=["lite", "server"])
def place(request: pytest.FixtureRequest) -> str:
    """Where collections are: milvus-lite, and a real server."""
    return request.getfixturevalue("file" if request.param == "lite" else "milvus_uri")


@pytest.fixture
def name() -> str:
    """Of a collection that nobody has: a server may be shared."""
    return f"test_{uuid4().hex}"


@pytest.fixture(scope="module")
def index(place: str) -> Iterator[MilvusIndex]:
    """All rows, never changed."""
    name = f"images_{uuid4().hex}"
    with MilvusIndex.create(place, name, dim=DIM, attributes=ATTRIBUTES, partition_by="category") as index:
        index.load(NAMES, ITEMS, VECTORS, COLUMNS)
        yield index


WHEN = datetime.datetime(2026, 11, 30, 20, 15, 0, 123456)
TYPES: dict[str, tuple[pa.DataType, list[object]]] = {
    "text": (pa.string(), ["", "\u0448\u0443\u0431\u0430"]),
    "yes": (pa.bool_(), [True, False]),
    "count": (pa.int64(), [-(2**63) + 1, 2**63 - 1]),
    "price": (pa.float64(), [0.1, -1e300]),
    "small": (pa.float32(), [0.5, 16777216.0]),
    "day": (pa.date32(), [WHEN.date(), datetime.date(1969, 1, 1)]),
    "local": (pa.timestamp("us"), [WHEN, datetime.datetime(1960, 1, 1)]),
    "at": (
        pa.timestamp("us", "UTC"),
        [WHEN.replace(tzinfo=datetime.UTC), datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)],
    ),
}


@pytest.fixture(scope="module")
def scratch(place: str) -> str:
    name = f"scratch_{uuid4().hex}"
    kinds = {"category": pa.string(), **{column: kind for column, (kind, _) in TYPES.items()}}
    MilvusIndex.create(
        place, name, dim=DIM, attributes=kinds, partition_by="category", kind="FLAT", properties={"made.by": "us"}
    ).close()
    return name


@pytest.fixture
def empty(place: str, scratch: str) -> Iterator[MilvusIndex]:
    """A collection without rows: to make one takes seconds on a server, so that several tests use it in turn."""
    with MilvusIndex(place, scratch) as index:
        yield index
        index.delete([row["image_id"] for page in index.scan(["item_id"]) for row in page])
        assert len(index) == 0


def true_order(query: np.ndarray, keep: np.ndarray) -> list[int]:
    return [row for row in np.argsort(-(VECTORS @ query), kind="stable") if keep[row]]


def test_the_nearest_are_found_with_their_scores(index: MilvusIndex) -> None:
    assert len(index) == ROWS
    assert index.kind == "HNSW"
    scores, names = index.search(unit(5, seed=1), 10)
    assert (scores.dtype, scores.shape) == (np.float32, (5, 10))
    for query, found_scores, found in zip(unit(5, seed=1), scores, names, strict=True):
        true = true_order(query, np.ones(ROWS, bool))[:10]
        assert found == [NAMES[row] for row in true]
        np.testing.assert_allclose(found_scores, VECTORS[true] @ query, atol=1e-5)
    assert index.search(np.empty((0, DIM), np.float32), 3)[0].shape == (0, 3)


@pytest.mark.parametrize("kind", ["FLAT", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX"])
def test_recall_is_measured_against_exact_search(file: str, kind: str) -> None:
    with MilvusIndex.create(file, f"kind_{kind}", dim=DIM, kind=kind, nlist=8) as index:
        index.load(NAMES, ITEMS, VECTORS)
        quality = index.measure(NAMES, VECTORS, unit(20, seed=2))
        assert quality.recall_at_10 >= (0.9 if "SQ" in kind else 0.97)
        assert quality.p50_ms > 0
        everything = np.ones(ROWS, bool)
        _, items = index.search_items(VECTORS[1], 3)
        assert items[0] == ITEMS[true_order(VECTORS[1], everything)[0]]


def test_a_server_is_asked_what_it_builds(index: MilvusIndex, place: str, name: str) -> None:
    assert index.measure(NAMES, VECTORS, unit(20, seed=2)).recall_at_10 >= 0.97
    for kind in {"HNSW_SQ", "IVF_RABITQ"} - {*index.capabilities.kinds}:
        with pytest.raises(ConfigError, match=f"kind={kind}.* has FLAT, "):
            MilvusIndex.create(place, name, dim=DIM, kind=kind)


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        (AnyOf("category", frozenset({"category-1", "category-3"})), lambda row: row % 4 in (1, 3)),
        (AnyOf("category", frozenset()), lambda row: False),
        (AnyOf("in_stock", frozenset({True})), lambda row: row % 2 == 0),
        (AnyOf("in_stock", frozenset({True, False})), lambda row: True),
        (AnyOf("in_stock", frozenset()), lambda row: False),
        (Between("price", 100, 200.5), lambda row: row % 7 and 100 <= row <= 200),
        (Between("price", None, None), lambda row: row % 7),
        (Between("price", -5.0, None), lambda row: row % 7),
        (Between("stars", 4, 4), lambda row: row % 5 == 4),
        (AnyOf("item_id", frozenset({"item-0", "item-7"})), lambda row: ITEMS[row] in ("item-0", "item-7")),
    ],
)
def test_filters_let_pass_what_they_say(index: MilvusIndex, condition: AnyOf | Between, passes: object) -> None:
    keep = np.array([bool(passes(row)) for row in range(ROWS)])
    query = unit(1, seed=3)
    scores, names = index.search(query, 8, [condition])
    expected = [NAMES[row] for row in true_order(query[0], keep)[:8]]
    assert names[0] == expected + [None] * (8 - len(expected))
    assert (scores[0, len(expected) :] == -np.inf).all()


@pytest.mark.parametrize("k", [1, 5, 60, 200])
def test_items_stand_once_with_their_best_image(index: MilvusIndex, k: int) -> None:
    conditions = [AnyOf("category", frozenset({"category-0", "category-1", "category-2"}))]
    keep = np.arange(ROWS) % 4 != 3
    query = unit(1, seed=4)[0]
    best: dict[str, float] = {}
    for row in true_order(query, keep):
        best.setdefault(ITEMS[row], float(VECTORS[row] @ query))
    scores, items = index.search_items(query, k, conditions)
    assert items == list(best)[:k]
    np.testing.assert_allclose(scores, list(best.values())[:k], atol=1e-5)


def categories(count: int) -> dict[str, list[str]]:
    return {"category": ["shoes"] * count}


def test_upserts_replace_and_deletes_remove(empty: MilvusIndex, place: str, scratch: str) -> None:
    empty.load(["a", "b", "c", "d"], ["x", "x", "y", "z"], VECTORS[:4], categories(4))
    empty.upsert(["a", "e"], ["w", "y"], VECTORS[10:12], {"price": [1.5, None], **categories(2)})
    assert empty.search(VECTORS[10:11], 1)[1] == [["a"]]
    assert empty.search(VECTORS[:1], 9)[0][0, 0] < 0.99
    empty.delete(["b", "unknown"])
    empty.delete_items(["y"])
    assert set(empty.search(VECTORS[:1], 9)[1][0]) == {"a", "d", None}
    assert len(empty) == 2
    with MilvusIndex(place, scratch) as again:
        assert again.search_items(VECTORS[10], 5)[1][0] == "w"
        assert again.search(VECTORS[10:11], 2, [Between("price", 1, 2)])[1] == [["a", None]]
        assert again.properties["made.by"] == "us"


def test_ugly_values_are_values_and_not_expressions(empty: MilvusIndex) -> None:
    empty.upsert(
        [f"image {value}" for value in UGLY], UGLY, VECTORS[: len(UGLY)], {"text": UGLY, **categories(len(UGLY))}
    )
    for value in UGLY:
        found = empty.search(VECTORS[:1], 20, [AnyOf("text", frozenset({value}))])[1][0]
        assert [name for name in found if name] == [f"image {value}"]
    empty.delete([f"image {UGLY[4]}"])
    empty.delete_items([UGLY[0]])
    assert len(empty) == len(UGLY) - 2
    with pytest.raises(FilterError, match="control characters"):
        empty.search(VECTORS[:1], 1, [AnyOf("text", frozenset({"a\0b"}))])


def test_a_row_that_changes_its_partition_stands_once(empty: MilvusIndex) -> None:
    empty.upsert(["a", "b"], ["x", "y"], VECTORS[:2], categories(2))
    for category in ("boots", "hats", "shoes", "hats"):
        empty.upsert(["a"], ["x"], VECTORS[2:3], {"category": [category]})
        assert len(empty) == 2
        found = empty.search_groups(VECTORS[2], 5, columns=["category"])
        assert [(hit.row["item_id"], hit.row["category"]) for hit in found] == [("x", category), ("y", "shoes")]
    empty.upsert(["a"], ["x"], VECTORS[2:3])
    assert [
        (row["image_id"], row["category"])
        for page in empty.scan(["category"])
        for row in sorted(page, key=lambda row: row["image_id"])
    ] == [("a", None), ("b", "shoes")]
    assert empty.search(VECTORS[2:3], 2, [AnyOf("category", frozenset({"", "shoes"}))])[1] == [["b", None]]
    empty.delete(["a"])
    assert empty.search(VECTORS[2:3], 2)[1] == [["b", None]]


def test_every_type_is_read_as_it_was_written(empty: MilvusIndex) -> None:
    values = {column: [*given, None] for column, (_, given) in TYPES.items()}
    empty.upsert(["a", "b", "c"], ["x", "x", "y"], VECTORS[:3], {**values, **categories(3)})
    assert {column: empty.columns[column].type for column in TYPES} == {
        column: kind for column, (kind, _) in TYPES.items()
    }
    rows = {row.pop("image_id"): row for page in empty.scan([*TYPES, "vector"], batch=2) for row in page}
    np.testing.assert_array_equal(rows["b"].pop("vector"), VECTORS[1])
    assert rows["b"] == {column: given[1] for column, given in values.items()}
    assert {rows["c"][column] for column in TYPES} == {None}
    both = AnyOf("image_id", frozenset({"a", "b", "c", "unknown"}))
    for condition in (
        AnyOf("text", frozenset({"", "\u0448\u0443\u0431\u0430"})),
        AnyOf("yes", frozenset({True, False})),
        Between("day", None, datetime.date(2030, 1, 1)),
        Between("local", None, WHEN),
        Between("at", None, WHEN.replace(tzinfo=datetime.UTC)),
        *(Between(column) for column in ("count", "price", "small", "day", "local", "at")),
        *(Between(column, None, 1e300) for column in ("price", "small")),
        *(Between("count", low, high) for low, high in ((None, 2**63), (-(2**70), None), (-1e300, 1e300))),
    ):
        found = empty.rows([condition, both], columns=["item_id"])
        assert sorted(row["image_id"] for row in found) == ["a", "b"], condition
    assert not empty.rows([Between("count", 2**63, None), both])
    assert [row["image_id"] for row in empty.rows([Between("count", 0.5, None)])] == ["b"]


def test_what_a_server_lacks_is_named() -> None:
    assert not Capabilities.of("milvus_lite-3.2.2").lacks
    assert not Capabilities.of("v2.6.1").lacks
    assert [what.split()[0] for what in Capabilities.of("v2.3.5-lite").lacks] == ["grouping", "nulls", "partition"]


def test_numpy_bounds_are_written_as_numbers() -> None:
    bounds = Between("price", np.float64(1.5), np.float64(1e300))
    assert expression([bounds], {"price": Attribute("price", pa.float64())}) == "(price >= 1.5 and price <= 1e+300)"


def test_conditions_that_do_not_fit_are_refused() -> None:
    kinds = {"brand": pa.string(), "price": pa.float64(), "in_stock": pa.bool_()}
    columns = {name: Attribute(name, kind) for name, kind in kinds.items()}
    for condition, message in (
        (AnyOf("colour", frozenset({"red"})), "no such column"),
        (AnyOf("price == 1 or brand", frozenset({"red"})), "no such column"),
        (AnyOf("price", frozenset({"1"})), "use|Between"),
        (AnyOf("brand", frozenset({True})), "it holds strings"),
        (AnyOf("in_stock", frozenset({"true"})), "it holds booleans"),
        (Between("brand", 1, 2), "no range"),
        (Between("price", float("nan"), 2), "no finite number"),
        (Between("price", "1 or 1", 2), "no finite number"),  # type: ignore[arg-type]
    ):
        with pytest.raises(FilterError, match=message):
            expression([condition], columns)


@pytest.mark.parametrize("kind", ["IVF_PQ", "HNSW_PQ", "IVF_RABITQ", "SCANN", "DISKANN", "GPU_CAGRA", "hnsw"])
def test_kinds_that_lite_would_search_by_brute_force_are_refused(file: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"kind={kind}.*lite.* has FLAT, HNSW"):
        MilvusIndex.create(file, "refused", dim=DIM, kind=kind)


def test_a_server_has_the_kinds_of_its_version() -> None:
    Capabilities.of("v2.6.1").check_kind("IVF_RABITQ")
    Capabilities.of("2.5.0-dev").check_kind("HNSW_SQ")
    for kind, version in (("IVF_RABITQ", "v2.5.12"), ("HNSW_SQ", "v2.4.9"), ("GPU_CAGRA", "v2.6.1"), ("FLAT", "new")):
        with pytest.raises(ConfigError, match=r"has|2\.0 or newer"):
            Capabilities.of(version).check_kind(kind)


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(LookalikeError, match=r"Milvus at http://127.0.0.1:1: connect: ") as caught:
        MilvusIndex("http://user:secret@127.0.0.1:1", "images", token="user:secret", timeout=1)
    assert "secret" not in str(caught.value)


def test_what_does_not_fit_is_refused(file: str, index: MilvusIndex, tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match="open `absent`"):
        MilvusIndex(file, "absent")
    client = MilvusClient(file)
    foreign = f"foreign_{uuid4().hex}"
    client.create_collection(foreign, dimension=DIM)
    with pytest.raises(LookalikeError, match=rf"`{foreign}` was not made by MilvusIndex\.create"):
        MilvusIndex(file, foreign)
    client.close()
    with pytest.raises(TableError, match="a single string"):
        index.delete("image-1")
    with pytest.raises(ConfigError, match="has a collection `keeps_it_open` already"):
        MilvusIndex.create(file, "keeps_it_open", dim=DIM)
    with pytest.raises(ConfigError, match="Milvus' names are"):
        MilvusIndex.create(file, "drop table", dim=DIM)
    with pytest.raises(ConfigError, match="attribute day is date64"):
        MilvusIndex.create(file, "new", dim=DIM, attributes={"day": pa.date64()})
    with pytest.raises(ConfigError, match="partition_by=price"):
        MilvusIndex.create(file, "new", dim=DIM, attributes=ATTRIBUTES, partition_by="price")
    with pytest.raises(ConfigError, match=r"ends in \.db"):
        MilvusIndex(str(tmp_path / "shop"), "images")
    with pytest.raises(ConfigError, match="folder does not exist"):
        MilvusIndex(str(tmp_path / "absent" / "shop.db"), "images")
    with pytest.raises(LookalikeError, match="query vectors have shape"):
        index.search(VECTORS[:1, :3], 1)
    with pytest.raises(LookalikeError, match="k=0"):
        index.search(VECTORS[:1], 0)


def test_a_closed_index_says_so(file: str) -> None:
    index = MilvusIndex(file, "keeps_it_open")
    index.close()
    index.close()
    with pytest.raises(LookalikeError, match="was closed"):
        len(index)
