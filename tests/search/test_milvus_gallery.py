"""A gallery over a Milvus collection answers as the one over the bundle's own index does."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.contracts.bundle import open_bundle
from src.contracts.errors import BundleError, FilterError, LookalikeError, UnavailableError
from src.contracts.preprocessing import PreprocessingSpec
from src.index.change_store import ItemChange
from src.index.filters import AnyOf, Between, Condition
from src.search.gallery import Gallery, Hit, UnknownItemError
from src.search.items import SHOWN
from src.search.milvus_gallery import MilvusGallery
from src.search.milvus_place import MilvusPlace
from src.search.settled_positions import SettledPositions
from tests.search.shared_bundle import new_name, share
from tests.search.small_bundle import Shop, altered, catalogue, write_bundle


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    rows = catalogue(60)
    for row in rows:  # An item without a parent stands for itself, and may be named like somebody's parent.
        if row["item_id"] in ("sku/007 ö", "sku/010 ö"):
            row["parent_id"] = None
    return write_bundle(tmp_path_factory.mktemp("milvus") / "bundle", rows)


@pytest.fixture(scope="module")
def bundle(shop: Shop, milvus_uri: str) -> Path:
    return share(shop, shop.root.parent / "shared", milvus_uri, new_name())


@pytest.fixture(scope="module")
def mapped(shop: Shop) -> Gallery:
    return Gallery.open(open_bundle(shop.root))


@pytest.fixture(scope="module")
def shared(bundle: Path, milvus_uri: str) -> Iterator[MilvusGallery]:
    gallery = MilvusGallery.open(open_bundle(bundle), MilvusPlace(uri=milvus_uri, consistency="Strong"))
    yield gallery
    gallery.close()


def same(found: list[Hit], expected: list[Hit]) -> None:
    """Equal scores; equal rows, but where scores are equal as well."""
    np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in expected], atol=2e-6)
    scores = [round(hit.score, 5) for hit in expected]
    for one, other in zip(found, expected, strict=True):
        if scores.count(round(other.score, 5)) == 1:
            assert one.row == other.row


FILTERS: list[list[tuple[str, list[str]]]] = [
    [],
    [("category", ["shoes", "Möbel & more"])],
    [("brand", ["<b onclick='x'>Nord"]), ("in_stock", ["true"])],
    [("in_stock", ["false"]), ("price", ["20..150"])],
    [("price", ["..60.5"])],
    [("stars", ["3.."]), ("color", ["red", "green"])],
    [("made_on", ["2020-01-05..2020-01-20"])],
    [("listed_at", ["2026-01-01T00:00Z.."])],
    [("title", ['The "Nord" AND sea number1'])],
    [("brand", ['x" or image_id != "'])],
    [("item_id", ["sku/007 ö", "sku/030 ö"])],
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_filters_paging_and_parents_are_answered_as_by_the_bundles_index(
    mapped: Gallery, shared: MilvusGallery, filters: list[tuple[str, list[str]]]
) -> None:
    rng = np.random.default_rng(len(str(filters)))
    for dedupe in ("item", "parent"):
        for k, offset in ((5, 0), (7, 4), (100, 0)):
            vector = rng.standard_normal(shared.dim).astype(np.float32)
            vector /= np.linalg.norm(vector)
            found, expected = (
                gallery.search(
                    vector, k, filters=[gallery.condition(*one) for one in filters], dedupe=dedupe, offset=offset
                )
                for gallery in (shared, mapped)
            )
            same(found, expected)


@pytest.mark.parametrize("dedupe", ["item", "parent"])
def test_similar_items_are_the_same_and_never_the_item_itself(
    mapped: Gallery, shared: MilvusGallery, dedupe: str
) -> None:
    conditions: list[Condition] = [AnyOf("in_stock", frozenset({True})), Between("price", 10.0, None)]
    for item_id in ("sku/002 ö", "sku/007 ö", "sku/031 ö"):
        for filters in ([], conditions):
            found = shared.similar(item_id, 9, filters=filters, dedupe=dedupe, offset=1)
            same(found, mapped.similar(item_id, 9, filters=filters, dedupe=dedupe, offset=1))
            assert item_id not in [hit.row["item_id"] for hit in found]
    for unknown in ("sku", 'sku" or item_id != "'):
        with pytest.raises(UnknownItemError, match="there is no item"):
            shared.similar(unknown, 3)


def test_what_is_not_searched_by_images_is_the_same(mapped: Gallery, shared: MilvusGallery) -> None:
    for text, limit in (("nord sea", 9), ("straße ölberg numb", 5), ("nothing", 3)):
        assert shared.by_words(text, limit) == mapped.by_words(text, limit)
    assert shared.selling(["shoes", "bags"]) == mapped.selling(["shoes", "bags"])
    names = ["sku/031 ö", "unknown", "sku/002 ö", "sku/031 ö"]
    for filters in ([], [AnyOf("color", frozenset({"red", "green"}))]):
        found, expected = (gallery.listed(names, filters=filters) for gallery in (shared, mapped))
        assert [hit.row["item_id"] for hit in found] == [hit.row["item_id"] for hit in expected]
        assert all(hit.score is None for hit in found)
    filters = [Between("stars", 4, None)]
    assert {*shared.any_items(100, filters=filters)} == {*mapped.any_items(100, filters=filters)}
    assert len(shared.any_items(3)) == 3
    assert shared.thumbnail("img/002 ü1.jpg") == mapped.thumbnail("img/002 ü1.jpg")
    assert shared.thumbnail("img/unknown.jpg") is None
    assert shared.values("brand") == mapped.values("brand")
    assert shared.price_range() == mapped.price_range()
    assert [row["item_id"] for row in shared.examples()] == [row["item_id"] for row in mapped.examples()]
    assert len(shared) == len(mapped)


def test_wrong_requests_are_refused(shared: MilvusGallery) -> None:
    vector = np.eye(1, shared.dim, dtype=np.float32)[0]
    with pytest.raises(FilterError, match=r"filter on `weight`: no such column; there are .*brand, category"):
        shared.condition("weight", ["1"])
    with pytest.raises(LookalikeError, match="dedupe=brand"):
        shared.search(vector, 3, dedupe="brand")
    with pytest.raises(LookalikeError, match="must not be negative"):
        shared.search(vector, 3, offset=-1)
    assert shared.search(vector, 0) == []


def test_a_collection_of_something_else_is_refused_by_name(bundle: Path, milvus_uri: str, tmp_path: Path) -> None:
    place = MilvusPlace(uri=milvus_uri)
    for content, message in (
        ({"encoder_id": "another"}, "encoder_id is another in the bundle, colour-grid in the collection"),
        (
            {"preprocessing": PreprocessingSpec(size=64).to_dict()},
            "preprocessing is .* in the bundle, .* in the collection",
        ),
        ({"dim": 3}, "has 48 dimensions"),
    ):
        other = altered(bundle, tmp_path / "other", "", **content)
        with pytest.raises(BundleError, match=message):
            MilvusGallery.open(open_bundle(other), place)
    with pytest.raises(UnavailableError, match="connect"):
        MilvusGallery.open(open_bundle(bundle), MilvusPlace(uri="http://127.0.0.1:1", timeout=1))


def test_without_milvus_the_bundles_rows_are_listed_but_for_those_that_were_deleted(
    bundle: Path, milvus_uri: str, mapped: Gallery
) -> None:
    changes = {
        "sku/002 ö": ItemChange("sku/002 ö", 5, deleted=True),
        "sku/031 ö": ItemChange(
            "sku/031 ö", 6, attributes={"color": "pink", "price": 2.0}, vectors={"new": np.ones(48)}
        ),
    }
    gallery = MilvusGallery.open(open_bundle(bundle), MilvusPlace(uri=milvus_uri, changed=lambda names: changes))
    gallery._failed[0] = time.monotonic()
    names = ["sku/031 ö", "sku/002 ö", "unknown", "sku/003 ö"]
    new = {**dict.fromkeys(SHOWN), "image_id": "new", "item_id": "sku/031 ö", "color": "pink", "price": 2.0}
    assert gallery.listed(names) == [Hit(None, new), *mapped.listed(["sku/003 ö"])]
    filters: list[Condition] = [AnyOf("color", frozenset({"green"}))]
    assert [hit.row["item_id"] for hit in gallery.listed(names, filters=filters)] == ["sku/003 ö"]
    assert {*gallery.any_items(100, filters=filters)} == {*mapped.any_items(100, filters=filters)}
    gallery.close()
    with pytest.raises(LookalikeError, match="was closed"):
        gallery.search(np.zeros(gallery.dim, np.float32), 1)


def test_a_position_is_settled_some_seconds_after_it_was_first_named() -> None:
    now = 0.0
    positions = SettledPositions(clock=lambda: now)
    assert not positions.settled(7)
    now = 9.9
    assert not positions.settled(7)
    now = 10.0
    assert positions.settled(7)
    assert not positions.settled(6)
    for number in range(10_000):
        positions.settled(100 + number)
    assert not positions.settled(7)


def test_a_search_after_a_position_is_strong(shared: MilvusGallery) -> None:
    bounded = replace(shared, consistency="Bounded", _positions=SettledPositions())
    assert bounded.after(3).consistency == "Strong"
    bounded._positions._named[3] -= 11
    assert bounded.after(3) is bounded
