"""Changes over a gallery against a plain dictionary of items that is searched by brute force."""

import inspect
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.contracts.errors import FilterError, LookalikeError
from src.contracts.tables import ITEMS, validate_items
from src.index.faiss_index import FaissIndex
from src.index.filters import AnyOf, Between, Condition
from src.search import changes as changes_module
from src.search.changed_gallery import ChangedGallery
from src.search.changes import Changes
from src.search.gallery import Gallery, Hit, UnknownItemError
from src.search.items import Items
from src.search.trending import Trending

DIM = 8
BASE_ITEMS = 12
NAMES = [f"item-{number}" for number in range(BASE_ITEMS + 6)]
PARENTS = [None, "p0", "p1", "item-3"]
"""A parent may be named like an item."""
COLORS = [None, "red", "Crème Blue"]
PRICES = [None, 1.0, 2.0, 3.0]
STOCKS = [None, True, False]


def vector(seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal(DIM)
    return (made / np.linalg.norm(made)).astype(np.float32)


@dataclass
class Image:
    row: dict[str, Any]
    vector: np.ndarray
    title: str | None = None


@dataclass
class Model:
    """What there should be."""

    items: dict[str, list[Image]] = field(default_factory=dict)

    def put(self, item_id: str, vectors: dict[str, np.ndarray], attributes: dict[str, Any]) -> None:
        names = ("parent_id", "category", "brand", "color", "price", "in_stock")
        whole = {name: attributes.get(name) for name in names}
        self.items[item_id] = [
            Image({"image_id": image_id, "item_id": item_id, **whole}, one) for image_id, one in vectors.items()
        ]

    def patch(self, item_id: str, attributes: dict[str, Any]) -> None:
        for image in self.items.get(item_id, []):
            image.row = {**image.row, **attributes}

    def delete(self, item_id: str) -> None:
        self.items.pop(item_id, None)

    def images(self) -> Iterator[Image]:
        for images in self.items.values():
            yield from images

    def best(self, queries: np.ndarray, filters: list[Condition], dedupe: str, leave_out: str | None = None) -> list:
        """Score and group of each group, best first."""
        found: dict[tuple[str, str], float] = {}
        for image in self.images():
            if image.row["item_id"] != leave_out and all(meets(image, condition) for condition in filters):
                name = group(image.row, dedupe)
                found[name] = max(found.get(name, -2.0), float(np.max(queries @ image.vector)))
        return sorted(((score, name) for name, score in found.items()), reverse=True)


def meets(image: Image, condition: Condition) -> bool:
    value = image.title if condition.column == "title" else image.row[condition.column]
    if value is None:
        return False
    if isinstance(condition, AnyOf):
        return value in condition.values
    return not (condition.low is not None and value < condition.low) and not (
        condition.high is not None and value > condition.high
    )


def group(row: dict[str, Any], dedupe: str) -> tuple[str, str]:
    by_parent = dedupe == "parent" and row["parent_id"] is not None
    return ("parent", row["parent_id"]) if by_parent else ("item", row["item_id"])


class Words:
    """Finds items by their title."""

    def __init__(self, titles: dict[int, str]) -> None:
        self.titles = titles

    def search(self, text: str, limit: int) -> list[int]:
        return [row for row, title in self.titles.items() if text and text in title][:limit]


class Pictures:
    def jpeg(self, row: int) -> bytes:
        return b"base %d" % row


def base_and_model(layout: str = "exact") -> tuple[Gallery, Model]:
    """Items of one to three images, not side by side, with titles that no change has."""
    rng = np.random.default_rng(5)
    rows, vectors, model = [], [], Model()
    order = rng.permutation([(number, view) for number in range(BASE_ITEMS) for view in range(1 + number % 3)])
    for number, view in order.tolist():
        row = {
            "image_id": f"base/{number}/{view}",
            "item_id": NAMES[number],
            "parent_id": PARENTS[number % 4],
            "category": None,
            "brand": "acme",
            "color": COLORS[number % 3],
            # The images of one item may differ.
            "price": PRICES[(number + view) % 4],
            "in_stock": STOCKS[(number + view) % 3],
        }
        title = f"title {number % 2}"
        rows.append({**row, "image": "", "title": title})
        vectors.append(vector(1000 + len(vectors)))
        model.items.setdefault(NAMES[number], []).append(Image(row, vectors[-1], title))
    schema = pa.schema([*ITEMS, pa.field("title", pa.string())])
    items = Items.of_table(validate_items(pa.Table.from_pylist(rows, schema=schema)))
    firsts = {int(items.rows_of_item(name)[0]): f"title {number % 2}" for number, name in enumerate(NAMES[:BASE_ITEMS])}
    base = Gallery(
        index=FaissIndex.build(np.array(vectors), layout=layout),
        items=items,
        words=Words(firsts),  # type: ignore[arg-type]
        trending=Trending({"shoes": [{"item_id": name, "score": 1.0} for name in NAMES]}),
        pictures=Pictures(),  # type: ignore[arg-type]
    )
    return base, model


FILTERS: list[list[Condition]] = [
    [],
    [AnyOf("color", frozenset({"red"}))],
    [Between("price", 2.0, None)],
    [AnyOf("in_stock", frozenset({True}))],
    [Between("price", None, 2.0), AnyOf("in_stock", frozenset({True, False})), AnyOf("color", frozenset({"red"}))],
    [AnyOf("title", frozenset({"title 1"}))],
    [AnyOf("title", frozenset({"title 1"})), Between("price", 1.0, 2.0)],
]


def check_hits(hits: list[Hit], best: list, k: int, offset: int, dedupe: str, model: Model) -> None:
    expected = best[offset : offset + k]
    np.testing.assert_allclose([hit.score for hit in hits], [score for score, _ in expected], atol=1e-5)
    assert [group(hit.row, dedupe) for hit in hits] == [name for _, name in expected]
    rows = {image.row["image_id"]: image.row for image in model.images()}
    for hit in hits:
        assert hit.row == rows[hit.row["image_id"]]


def has_item(gallery: ChangedGallery, item_id: str) -> bool:
    return len(gallery.rows_of_item(item_id)) > 0


def check(gallery: ChangedGallery, model: Model) -> None:
    """Everything that a gallery is asked, against the model."""
    assert len(gallery) == sum(1 for _ in model.images())
    query = vector(1)
    for filters in FILTERS:
        for dedupe, k, offset in (("item", 4, 0), ("parent", 3, 0), ("parent", 2, 3), ("item", 50, 2)):
            best = model.best(query[None], filters, dedupe)
            hits = gallery.search(query, k, filters=filters, dedupe=dedupe, offset=offset)
            check_hits(hits, best, k, offset, dedupe, model)
        listed = gallery.listed([*NAMES, *NAMES], filters=filters)
        expected = [name for name in NAMES if any(all(meets(i, c) for c in filters) for i in model.items.get(name, []))]
        assert [hit.row["item_id"] for hit in listed] == expected
        rows = {image.row["image_id"]: image for image in model.images()}
        assert all(hit.score is None and hit.row == rows[hit.row["image_id"]].row for hit in listed)
        assert all(all(meets(rows[hit.row["image_id"]], c) for c in filters) for hit in listed)
    for name in NAMES:
        check_item(gallery, model, name)
    assert {row["item_id"] for row in gallery.examples()} == {*NAMES[:BASE_ITEMS]} & {*model.items}
    shown = {image.row["image_id"] for image in model.images()}
    for image_id in shown | {"base/0/0", "base/5/1", "new/item-2/0", "nobody"}:
        assert gallery.has_image(image_id) == (image_id in shown)
        jpeg = gallery.thumbnail(image_id)
        assert (jpeg or b"none")[:4] == (
            b"none" if image_id not in shown else b"base" if "base" in image_id else b"new "
        )


def check_item(gallery: ChangedGallery, model: Model, name: str) -> None:
    images = model.items.get(name, [])
    rows = gallery.rows_of_item(name)
    assert has_item(gallery, name) == (len(images) > 0)
    assert sorted(row["image_id"] for row in gallery.describe(rows)) == sorted(i.row["image_id"] for i in images)
    vectors = gallery.vectors_of_item(name)
    if not images:
        with pytest.raises(UnknownItemError, match=name):
            gallery.similar(name, 3)
        return
    expected = np.array([image.vector for image in images])
    np.testing.assert_allclose(vectors[np.lexsort(vectors.T)], expected[np.lexsort(expected.T)], atol=1e-6)
    for filters, dedupe, k, offset in (([], "item", 5, 0), (FILTERS[2], "parent", 3, 1)):
        best = model.best(expected, filters, dedupe, leave_out=name)
        hits = gallery.similar(name, k, filters=filters, dedupe=dedupe, offset=offset)
        check_hits(hits, best, k, offset, dedupe, model)


names = st.sampled_from(NAMES)
patched = st.fixed_dictionaries({}, optional={"price": st.sampled_from(PRICES), "in_stock": st.sampled_from(STOCKS)})
attributes = st.fixed_dictionaries(
    {},
    optional={
        "price": st.sampled_from(PRICES),
        "in_stock": st.sampled_from(STOCKS),
        "color": st.sampled_from(COLORS),
        "parent_id": st.sampled_from(PARENTS),
    },
)
operations = st.one_of(
    st.tuples(st.just("put"), names, st.integers(1, 3), attributes),
    st.tuples(st.just("patch"), names, st.just(0), patched),
    st.tuples(st.just("delete"), names, st.just(0), st.just({})),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(operations, max_size=25), st.integers(0, 25))
def test_a_gallery_answers_as_a_dictionary_of_the_changed_items_does(sequence: list, early: int) -> None:
    base, model = base_and_model()
    jpegs: dict[str, bytes] = {}
    changes = Changes(base, dim=DIM, jpeg=jpegs.get)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes_module, "_LEAST_ROOM", 4)  # So that rows are moved.
        changes._allocate(4)
        for number, (kind, name, images, values) in enumerate(sequence):
            if kind == "put":
                vectors = {f"new/{name}/{view}": vector(10 * number + view) for view in range(images)}
                jpegs.update(dict.fromkeys(vectors, b"new "))
                changes.put(name, vectors, values)
                model.put(name, vectors, values)
            elif kind == "patch":
                changes.patch(name, values)
                model.patch(name, values)
            else:
                changes.delete(name)
                model.delete(name)
            there = {image.row["image_id"] for image in model.images()}
            for image_id in set(jpegs) - there:
                del jpegs[image_id]
            if number % 4 == 0:
                changes.publish()
            if number == early:
                check(published(changes), model)
    check(published(changes), model)


def published(changes: Changes) -> ChangedGallery:
    changes.publish()
    return changes.gallery()


@pytest.mark.parametrize("layout", ["hnsw_fp32", "hnsw_fp16"])
def test_other_layouts_find_the_same(layout: str) -> None:
    base, model = base_and_model(layout)
    changes = Changes(base, dim=DIM)
    for number, name in enumerate(NAMES[::3]):
        vectors = {f"new/{name}/0": vector(number)}
        changes.put(name, vectors, {"price": 2.0})
        model.put(name, vectors, {"price": 2.0})
    for name in NAMES[1::3]:
        changes.patch(name, {"price": 3.0, "in_stock": True})
        model.patch(name, {"price": 3.0, "in_stock": True})
    for filters in FILTERS:
        best = model.best(vector(1)[None], filters, "item")
        hits = published(changes).search(vector(1), 40, filters=filters)
        assert {group(hit.row, "item") for hit in hits} == {name for _, name in best}


def test_a_gallery_stays_as_it_was_whatever_is_changed_later() -> None:
    base, model = base_and_model()
    changes = Changes(base, dim=DIM)
    changes.put("item-1", {"new/1": vector(3)}, {"price": 1.0})
    model.put("item-1", {"new/1": vector(3)}, {"price": 1.0})
    changes.patch("item-2", {"price": 2.0})
    model.patch("item-2", {"price": 2.0})
    before = published(changes)
    for number in range(3000):  # More than there is room for at first.
        name = NAMES[number % len(NAMES)]
        changes.put(name, {f"other/{number}": vector(number)}, {"price": 3.0, "color": "red"})
        if number % 7 == 0:
            changes.delete(name)
    after = published(changes)
    assert after.search(vector(1), 3)[0].row["image_id"].startswith("other/")
    for filters in FILTERS:
        best = model.best(vector(1)[None], filters, "item")
        check_hits(before.search(vector(1), 9, filters=filters), best, 9, 0, "item", model)


def test_a_gallery_with_changes_offers_what_a_gallery_offers() -> None:
    parts = {"open", "picture", "groups"}
    offered = {name: member for name, member in vars(Gallery).items() if name[0] != "_" and name not in parts}
    assert len(offered) > 10
    for name, member in offered.items():
        expected = [one for one in inspect.signature(member).parameters.values() if one.name != "hidden"]
        assert [*inspect.signature(getattr(ChangedGallery, name)).parameters.values()] == expected, name


def test_nothing_is_visible_before_it_is_published() -> None:
    base, _ = base_and_model()
    changes = Changes(base, dim=DIM)
    changes.put("new", {"new/0": vector(1)}, {})
    changes.delete("item-0")
    changes.patch("item-1", {"price": 9.0})
    gallery = changes.gallery()
    assert not has_item(gallery, "new")
    assert has_item(gallery, "item-0")
    assert gallery.listed(["item-1"])[0].row["price"] != 9.0
    changes.publish()
    assert has_item(changes.gallery(), "new")


def test_words_find_changed_items_and_others_in_turn() -> None:
    base, _ = base_and_model()
    changes = Changes(base, dim=DIM)
    assert published(changes).by_words("title 1", 3) == ["item-1", "item-3", "item-5"]
    for name in ("item-1", "item-3", "new-a", "new-b"):
        changes.put(name, {f"{name}/0": vector(1)}, {"color": "Crème Brûlée", "brand": "TITLE_1 of x", "price": 1.0})
    gallery = published(changes)
    assert gallery.by_words("title 1", 4) == ["item-5", "new-b", "item-7", "new-a"]
    assert gallery.by_words("creme bru", 9) == ["new-b", "new-a", "item-3", "item-1"]
    assert gallery.by_words("BRÛLÉE TITLE", 1) == ["new-b"]
    for nothing in ("brul crem", "brulees", "", "!?", "red"):
        assert gallery.by_words(nothing, 9) == [], nothing
    changes.delete("new-b")
    changes.patch("new-a", {"price": 2.0})
    assert published(changes).by_words("creme", 9) == ["new-a", "item-3", "item-1"]


def test_more_images_than_fit_are_refused_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "MOST_IMAGES", 3)
    base, _ = base_and_model()
    changes = Changes(base, dim=DIM)
    changes.put("a", {"a/0": vector(0), "a/1": vector(1)}, {})
    with pytest.raises(LookalikeError, match=r"'b' has 2 images, and 2 of other .* at most 3; export a new bundle"):
        changes.put("b", {"b/0": vector(0), "b/1": vector(1)}, {})
    assert not has_item(published(changes), "b")
    changes.put("a", {f"a/{view}": vector(view) for view in range(3)}, {})  # Its own two are replaced.
    changes.delete("a")
    changes.put("b", {"b/0": vector(0), "b/1": vector(1)}, {})
    assert has_item(published(changes), "b")


@pytest.mark.parametrize("filters", [[AnyOf("size", frozenset({"x"}))], [AnyOf("price", frozenset({"x"}))]])
def test_a_wrong_filter_is_an_error_as_without_changes(filters: list[Condition]) -> None:
    base, _ = base_and_model()
    changes = Changes(base, dim=DIM)
    for _ in range(2):
        with pytest.raises(FilterError):
            published(changes).search(vector(1), 3, filters=filters)
        changes.put("a", {"a/0": vector(0)}, {})
        changes.patch("item-1", {"price": 1.0})


def test_searches_go_on_while_items_change() -> None:
    """What a search finds is one state: an item's two images change together."""
    base, _ = base_and_model()
    changes = Changes(base, dim=DIM)
    ended = threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        while not ended.is_set():
            gallery = changes.gallery()
            prices = {row["price"] for row in gallery.describe(gallery.rows_of_item("item-2"))}
            found = {hit.row["price"] for hit in gallery.search(vector(7), 30) if hit.row["item_id"] == "item-2"}
            if len(prices) > 1 or found != prices:
                wrong.append((prices, found))

    changes.put("item-2", {"x/0": vector(7), "x/1": vector(8)}, {"price": 0.0})
    changes.publish()
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1500):
        changes.put("item-2", {"x/0": vector(7), "x/1": vector(8)}, {"price": float(number)})
        changes.publish()
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
