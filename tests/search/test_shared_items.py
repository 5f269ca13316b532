"""Changes of items in a collection that replicas share: a real Milvus, and SQLite in the place of PostgreSQL."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from src.contracts.errors import LookalikeError, UnavailableError
from src.contracts.image_errors import ImageError
from src.search.gallery import Gallery, Hit, UnknownItemError
from src.search.milvus_place import MilvusPlace
from src.search.searcher import Searcher
from src.search.shared_items import SharedItems, SharedStore
from tests.search.shared_bundle import new_name, share
from tests.search.small_bundle import Shop, catalogue, picture, write_bundle


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return write_bundle(tmp_path_factory.mktemp("items") / "bundle", catalogue(30))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedStore]:
    store = SharedStore(f"sqlite:///{tmp_path_factory.mktemp('changes') / 'changes.sqlite'}")
    yield store
    store.close()


@pytest.fixture(scope="module")
def searcher(shop: Shop, store: SharedStore, milvus_uri: str) -> Iterator[Searcher]:
    root = share(shop, shop.root.parent / "shared", milvus_uri, new_name())
    place = MilvusPlace(uri=milvus_uri, consistency="Strong", changed=store.known, jpeg=store.pictures.jpeg)
    searcher = Searcher.open(root, threads=1, milvus=place)
    yield searcher
    searcher.gallery.close()


@pytest.fixture(scope="module")
def items(searcher: Searcher, store: SharedStore) -> SharedItems:
    return SharedItems(searcher, store)


def found(searcher: Searcher, item_id: str) -> list[Hit]:
    return searcher.gallery.listed([item_id])


def test_what_is_put_is_found_until_it_is_deleted(searcher: Searcher, items: SharedItems) -> None:
    put = items.put("new/1 ö", [picture(1), picture(2), picture(1)], {"brand": "acme", "price": 2.5})
    assert (len(put.image_ids), put.visible) == (2, True)
    for photo in (picture(1), picture(2)):
        hit = searcher.search(photo, 1)[0]
        assert (hit.row["item_id"], hit.row["brand"], hit.row["in_stock"]) == ("new/1 ö", "acme", None)
        assert hit.score == pytest.approx(1, abs=1e-5)
        assert searcher.gallery.thumbnail(hit.row["image_id"])[:2] == b"\xff\xd8"
    again = items.put("new/1 ö", [picture(3)], {})
    assert again.version > put.version
    assert searcher.search(picture(2), 1)[0].row["item_id"] != "new/1 ö"
    gone = items.delete("new/1 ö")
    assert (gone.image_ids, gone.visible) == ([], True)
    assert not found(searcher, "new/1 ö")
    late = items.put("new/1 ö", [picture(1)], {}, again.version)  # Sent again, and overtaken.
    assert late.version == again.version
    assert not found(searcher, "new/1 ö")
    assert items.delete("unknown").visible


def test_a_patch_changes_what_it_names(searcher: Searcher, items: SharedItems, shop: Shop) -> None:
    old = next(row for row in shop.rows() if row["item_id"] == "sku/004 ö")
    before = searcher.similar("sku/004 ö", 5)
    items.patch("sku/004 ö", {"price": 7.25})
    (hit,) = found(searcher, "sku/004 ö")
    assert hit.row == {**{name: old[name] for name in hit.row}, "price": 7.25, "image_id": hit.row["image_id"]}
    assert [one.score for one in searcher.similar("sku/004 ö", 5)] == [one.score for one in before]
    stars = searcher.gallery.condition("stars", [str(old["stars"])])
    day = searcher.gallery.condition("made_on", [str(old["made_on"])])
    assert searcher.gallery.listed(["sku/004 ö"], filters=[stars, day])
    version = items.patch("sku/004 ö", {"in_stock": True}).version
    items.patch("sku/004 ö", {"in_stock": False})
    items.patch("sku/004 ö", {"in_stock": True}, version)  # Sent again, and overtaken.
    assert (found(searcher, "sku/004 ö")[0].row["price"], found(searcher, "sku/004 ö")[0].row["in_stock"]) == (
        7.25,
        False,
    )
    items.delete("sku/004 ö")
    for name in ("sku/004 ö", "unknown"):
        with pytest.raises(UnknownItemError, match="add it first"):
            items.patch(name, {"price": 1.0})


def test_patches_at_once_lose_nothing(searcher: Searcher, items: SharedItems) -> None:
    changes = [{"price": 3.0}, {"in_stock": True}, {"brand": "nord"}]
    threads = [threading.Thread(target=items.patch, args=("sku/007 ö", change)) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (hit,) = found(searcher, "sku/007 ö")
    assert [hit.row[name] for name in ("price", "in_stock", "brand")] == [3.0, True, "nord"]


def test_what_milvus_lacks_follows(
    searcher: Searcher, items: SharedItems, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    def away(*_: object, **__: object) -> None:
        raise UnavailableError("Milvus is away")

    with monkeypatch.context() as patched:
        patched.setattr(searcher.gallery.index, "upsert", away)
        patched.setattr(searcher.gallery.index, "delete", away)
        assert not items.put("late", [picture(5)], {}).visible
        assert not items.delete("sku/011 ö").visible
        assert items.repair() == 0
    assert found(searcher, "sku/011 ö")
    assert items.repair() == 2
    assert not found(searcher, "sku/011 ö")
    assert found(searcher, "late")


def test_what_cannot_be_kept_is_refused(searcher: Searcher, items: SharedItems, shop: Shop, store: SharedStore) -> None:
    with pytest.raises(ImageError, match="image 2 of 2"):
        items.put("bad", [picture(1), b"no image"], {})
    with pytest.raises(LookalikeError, match="no image; give at least one"):
        items.put("bad", [], {})
    with pytest.raises(LookalikeError, match="its id has over 480 bytes"):
        items.put("ö" * 300, [picture(1)], {})
    assert not found(searcher, "bad")
    own = Searcher(
        bundle=searcher.bundle, encoder=searcher.encoder, gallery=Gallery.open(Searcher.open(shop.root).bundle)
    )
    with pytest.raises(LookalikeError, match="its vectors are not in Milvus"):
        SharedItems(own, store)
    assert np.isfinite(searcher.search(picture(1), 1)[0].score)
