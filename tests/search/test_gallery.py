"""A gallery against brute force over all rows."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.bundle import INDEX, ITEMS_ARROW, THUMBNAILS, WORDS, open_bundle
from src.contracts.errors import BundleError, FilterError, LookalikeError
from src.contracts.tables import validate_items
from src.index.faiss_index import FaissIndex
from src.index.filters import AnyOf, Between
from src.search.gallery import Gallery, UnknownItemError
from src.search.items import SHOWN, Items
from src.search.trending import Trending
from tests.search.small_bundle import Shop, altered, catalogue, write_bundle
from tests.search.test_items_file import UGLY

DIM = 6


def gallery(rows: int, *, seed: int = 0, layout: str = "exact") -> Gallery:
    """Items of several images, many of which are equal: scores tie."""
    rng = np.random.default_rng(seed)
    number = rng.integers(0, max(1, rows // 2), rows)
    item_ids = [f"{UGLY[item % len(UGLY)]}{item}" for item in number]
    prices = [None if item % 5 == 0 else float("nan") if item % 7 == 0 else float(item) for item in number]
    made = pa.table(
        {
            "image_id": [f"{row}{UGLY[row % len(UGLY)]}" for row in range(rows)],
            "item_id": pa.array(item_ids, pa.string()),
            "parent_id": pa.array([None if item % 4 == 0 else f"p{item // 4}" for item in number], pa.string()),
            "image": pa.array([""] * rows, pa.string()),
            "color": pa.array([[None, "red", "green"][draw] for draw in rng.integers(0, 3, rows)], pa.string()),
            "price": pa.array(prices, pa.float64()),
        }
    )
    points = rng.standard_normal((max(1, rows // 3), DIM))
    vectors = points[rng.integers(0, len(points), rows)].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = FaissIndex.build(vectors, layout=layout)
    return Gallery(index=index, items=Items.of_table(validate_items(made)), words=None, trending=Trending({}))


def vectors_of(made: Gallery) -> np.ndarray:
    return made.index.vectors(np.arange(len(made)))


FILTERS = [
    [],
    [AnyOf("color", frozenset({"red"}))],
    [Between("price", 10.0, 60.0)],
    [Between("price", None, 50.0), AnyOf("color", frozenset({"red", "green"}))],
    [AnyOf("color", frozenset({"blue"}))],
]


def meets(row: dict, conditions: list) -> bool:
    for condition in conditions:
        value = row[condition.column]
        if value is None or value != value:
            return False
        if isinstance(condition, AnyOf) and value not in condition.values:
            return False
        if isinstance(condition, Between) and not (condition.low or -1e9) <= value <= (condition.high or 1e9):
            return False
    return True


def group(row: dict, dedupe: str) -> tuple[str, str]:
    if dedupe == "parent" and row["parent_id"] is not None:
        return "parent", row["parent_id"]
    return "item", row["item_id"]


def brute_force(made: Gallery, queries: np.ndarray, conditions: list, dedupe: str, hidden: set[int]) -> dict:
    """The best cosine of each group."""
    rows, best = made.items.table.to_pylist(), {}
    scores = (queries @ vectors_of(made).T).max(axis=0)
    for number, row in enumerate(rows):
        if number not in hidden and meets(row, conditions):
            name = group(row, dedupe)
            best[name] = max(best.get(name, -2.0), float(scores[number]))
    return best


def check(hits: list, best: dict, k: int, offset: int, dedupe: str) -> None:
    expected = sorted(best.values(), reverse=True)[offset : offset + k]
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-5)
    names = [group(hit.row, dedupe) for hit in hits]
    assert len(set(names)) == len(names)
    np.testing.assert_allclose([best[name] for name in names], expected, atol=1e-5)


@pytest.mark.parametrize("layout", ["exact", "hnsw_fp32"])
@pytest.mark.parametrize("dedupe", ["item", "parent"])
@pytest.mark.parametrize("conditions", FILTERS)
def test_a_search_finds_what_comparing_all_rows_finds(conditions: list, dedupe: str, layout: str) -> None:
    made, rng = gallery(300, layout=layout), np.random.default_rng(1)
    for vector in vectors_of(made)[rng.choice(300, 6)]:
        for hidden in (None, np.sort(rng.choice(300, 5, replace=False)), np.arange(0, 300, 2), np.arange(300)):
            gone = set() if hidden is None else set(hidden.tolist())
            best = brute_force(made, vector[None], conditions, dedupe, gone)
            for k, offset in ((1, 0), (7, 0), (7, 3), (400, 0), (5, 400)):
                hits = made.search(vector, k, filters=conditions, dedupe=dedupe, offset=offset, hidden=hidden)
                check(hits, best, k, offset, dedupe)


@pytest.mark.parametrize("dedupe", ["item", "parent"])
@pytest.mark.parametrize("conditions", FILTERS)
def test_similar_items_are_nearest_to_any_of_eight_images_and_never_the_item(conditions: list, dedupe: str) -> None:
    made = gallery(300, seed=2)
    for item_id in sorted(set(made.items.item_ids(range(40)))):
        own = made.rows_of_item(item_id)
        for hidden in (None, np.arange(0, 300, 3)):
            gone = {*own.tolist(), *([] if hidden is None else hidden.tolist())}
            best = brute_force(made, vectors_of(made)[own[:8]], conditions, dedupe, gone)
            for k, offset in ((5, 0), (5, 2), (400, 0)):
                hits = made.similar(item_id, k, filters=conditions, dedupe=dedupe, offset=offset, hidden=hidden)
                check(hits, best, k, offset, dedupe)
                assert item_id not in [hit.row["item_id"] for hit in hits]


def test_an_item_that_is_not_there_has_nothing_similar() -> None:
    made = gallery(30)
    with pytest.raises(UnknownItemError, match="item 'no \"such\"/item' is not in this bundle"):
        made.similar('no "such"/item', 3)
    assert made.vectors_of_item("nobody").shape == (0, DIM)
    assert isinstance(UnknownItemError(""), LookalikeError)


def test_vectors_of_an_item_are_those_of_its_first_eight_images() -> None:
    made = gallery(60)
    ids = pa.table({"image_id": [str(n) for n in range(60)], "item_id": ["a"] * 11 + ["b"] * 49})
    items = Items.of_table(validate_items(ids.append_column("image", ids["image_id"])))
    made = Gallery(index=made.index, items=items, words=None, trending=Trending({}))
    np.testing.assert_array_equal(made.vectors_of_item("a"), vectors_of(made)[:8])
    assert made.vectors_of_item("a").dtype == np.float32


def test_one_row_and_none() -> None:
    one, empty = gallery(1), gallery(0)
    vector = vectors_of(one)[0]
    assert [hit.row["image_id"] for hit in one.search(vector, 5)] == [one.describe([0])[0]["image_id"]]
    assert one.search(vector, 5)[0].score <= 1.0
    assert one.similar(one.items.item_ids([0])[0], 5) == []
    assert one.search(vector, 5, hidden=np.array([0])) == []
    assert len(one.examples()) == 1
    assert len(empty) == 0
    assert empty.search(vector, 5) == []
    assert empty.search(vector, 5, filters=FILTERS[1]) == []
    assert empty.listed(["a"]) == []
    assert empty.examples() == []
    assert empty.price_range() is None
    assert empty.values("color") == ([], 0)
    assert empty.by_words("a", 3) == []
    assert empty.selling() == []
    assert not empty.has_image("a")
    assert empty.thumbnail("a") is None


def test_items_are_listed_in_the_order_given_each_once_by_the_first_row_that_passes() -> None:
    made = gallery(120, seed=4)
    rows = made.items.table.to_pylist()
    ids = [row["item_id"] for row in rows[60:90]] + ["nobody"] + [row["item_id"] for row in rows[:40]]
    for conditions in FILTERS:
        expected = []
        for item_id in dict.fromkeys(ids):
            here = [row for row in rows if row["item_id"] == item_id and meets(row, conditions)]
            expected += [row["image_id"] for row in here[:1]]
        hits = made.listed(ids, filters=conditions)
        assert [hit.row["image_id"] for hit in hits] == expected
        assert {hit.score for hit in hits} <= {None}


def test_what_cannot_be_asked_is_refused() -> None:
    made = gallery(20)
    vector = vectors_of(made)[0]
    with pytest.raises(FilterError, match="filter on `colour`: no such column; there are brand, category, color,"):
        made.search(vector, 3, filters=[AnyOf("colour", frozenset({"red"}))])
    with pytest.raises(LookalikeError, match="`dedupe=brand`: must be one of item, parent"):
        made.search(vector, 3, dedupe="brand")
    with pytest.raises(LookalikeError, match="must not be negative"):
        made.search(vector, -1)
    with pytest.raises(LookalikeError, match="query vectors have 3 numbers, the index has 6"):
        made.search(np.ones(3, np.float32), 3)
    with pytest.raises(LookalikeError, match="20 vectors for 5 images"):
        Gallery(index=made.index, items=gallery(5).items, words=None, trending=Trending({}))
    assert made.search(np.full(DIM, np.nan, np.float32), 3) == []


def test_threads_that_search_at_once_find_the_same() -> None:
    made = gallery(400, seed=5)
    asked = [(vector, conditions) for vector in vectors_of(made)[:20] for conditions in FILTERS]
    expected = [made.search(vector, 5, filters=conditions) for vector, conditions in asked]
    fresh = gallery(400, seed=5)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda one: fresh.search(one[0], 5, filters=one[1]), asked)) == expected


def test_a_bundle_is_opened_and_answers_in_every_way(shop: Shop) -> None:
    made, rows = Gallery.open(open_bundle(shop.root)), shop.rows()
    assert len(made) == len(rows)
    best = made.search(shop.vectors[7], 3)[0]
    assert best.score == pytest.approx(1.0, abs=1e-6)
    assert {name: best.row[name] for name in ("image_id", "brand")} == {
        name: rows[7][name] for name in ("image_id", "brand")
    }
    assert set(best.row) == set(SHOWN)
    for row, jpeg in zip(rows, shop.pictures, strict=True):
        assert made.has_image(row["image_id"])
        assert made.thumbnail(row["image_id"]) == jpeg
    assert not made.has_image("img/000")
    assert made.thumbnail("img/000") is None
    assert set(made.by_words("number17", 5)) == {"sku/017 ö"}
    assert made.selling(["bags"]) == ["sku/011 ö", "sku/006 ö", "sku/001 ö"]
    assert made.selling(["nothing"]) == []
    assert made.selling()[:2] == ["sku/010 ö", "sku/011 ö"]
    prices = [row["price"] for row in rows if row["price"] is not None and row["price"] == row["price"]]
    assert made.price_range() == (min(prices), max(prices))
    colours = [row["color"] for row in rows]
    assert dict(made.values("color").counts) == {name: colours.count(name) for name in ("red", "green", "blue")}
    assert made.condition("stars", ["2..4"]) == Between("stars", 2, 4)
    examples = made.examples()
    assert len({row["item_id"] for row in examples}) == len(examples) == 12
    assert {examples[0]["item_id"], examples[-1]["item_id"]} == {"sku/000 ö", "sku/039 ö"}


def test_files_that_are_replaced_by_a_rename_go_on_being_read(tmp_path: Path, shop: Shop) -> None:
    root = shutil.copytree(shop.root, tmp_path / "bundle")
    made = Gallery.open(open_bundle(root))
    other = write_bundle(tmp_path / "other", catalogue(25, seed=3))
    for path in other.root.iterdir():
        os.replace(path, root / path.name)
    best = made.search(shop.vectors[50], 1, filters=[made.condition("price", ["0..1000"])])
    assert len(best) == 1
    for row in (0, 50, len(shop.pictures) - 1):
        image_id = shop.rows()[row]["image_id"]
        assert made.thumbnail(image_id) == shop.pictures[row]
        assert made.search(shop.vectors[row], 1)[0].row["item_id"] == shop.rows()[row]["item_id"]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: tuple(made.by_words("number39", 1)), range(40))) == {("sku/039 ö",)}
    assert Gallery.open(open_bundle(root)).by_words("number39", 1) == []


@pytest.mark.parametrize("name", [INDEX, ITEMS_ARROW, THUMBNAILS, WORDS])
def test_a_part_of_another_bundle_or_none_is_refused(name: str, tmp_path: Path, shop: Shop) -> None:
    other = write_bundle(tmp_path / "other", catalogue(12)).root
    damaged = open_bundle(altered(shop.root, tmp_path / "damaged", name, b"nothing of use"))
    with pytest.raises(BundleError, match=name):
        Gallery.open(damaged)
    if name != WORDS:
        mixed = open_bundle(altered(shop.root, tmp_path / "mixed", name, (other / name).read_bytes()))
        with pytest.raises(BundleError, match=r"not of the same images|\d+ vectors for \d+ images"):
            Gallery.open(mixed)
