"""Items that change while they are searched: durable, visible at once, and in the next bundle."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.contracts.errors import ConfigError, JournalError, LookalikeError
from src.contracts.preprocessing import ImageError
from src.index.journal import Journal, Picture, picture_id
from src.search import changes
from src.search.changed_gallery import ChangedGallery
from src.search.layer import Layer
from src.search.live_items import LiveItems, UnknownItemError
from tests.search.searchers import BASE, Searcher, picture

PATIENCE = 30.0
"""Seconds until something that must happen is taken for stuck."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "state")) as journal:
        yield journal


def opened(live: LiveItems, searcher: Searcher, **more: Any) -> Layer:
    return live.open_layer(searcher, made_by=f"encoder {searcher.salt}", **more)  # type: ignore[arg-type]


def serving(journal: Journal, searcher: Searcher, **more: Any) -> LiveItems:
    live = LiveItems(journal=journal, **more)
    live.serve(opened(live, searcher))
    return live


def found(layer: Layer, searcher: Searcher, data: bytes) -> dict[str, Any]:
    """What a search by a picture finds first, and its score."""
    hit = layer.gallery().search(searcher.vector(data), 1)[0]
    return {**hit.row, "score": hit.score}


def has_item(gallery: ChangedGallery, item_id: str) -> bool:
    return len(gallery.rows_of_item(item_id)) > 0


def test_a_change_is_visible_and_durable_when_the_call_returns(journal: Journal) -> None:
    noted: list[tuple[str, float]] = []
    searcher = Searcher()
    live = serving(journal, searcher, on_change=lambda kind, seconds: noted.append((kind, seconds)))

    async def change() -> None:
        ids = await live.put("new/1 ö", [picture(1), picture(2), picture(1)], {"price": 2.5, "brand": "acme"})
        assert ids == [picture_id("new/1 ö", picture(1)), picture_id("new/1 ö", picture(2))]
        row = found(live.layer, searcher, picture(2))
        assert (row["image_id"], row["price"], row["brand"], row["in_stock"]) == (ids[1], 2.5, "acme", None)
        assert row["score"] > 0.9999
        assert (live.layer.gallery().thumbnail(ids[0]) or b"")[:2] == b"\xff\xd8"
        await live.patch("new/1 ö", {"in_stock": True})
        assert found(live.layer, searcher, picture(2))["in_stock"] is True
        await live.put("new/1 ö", [picture(3)], {})
        assert found(live.layer, searcher, picture(3))["price"] is None
        assert found(live.layer, searcher, picture(2))["item_id"] != "new/1 ö"
        assert live.layer.gallery().thumbnail(ids[0]) is None
        await live.patch(BASE[0], {"price": 7.0})
        assert found(live.layer, searcher, b"base-0/1")["price"] == 7.0
        for _ in range(2):
            await live.delete(BASE[1])
            assert not has_item(live.layer.gallery(), BASE[1])
        for name in (BASE[1], "nobody"):
            with pytest.raises(UnknownItemError, match=name):
                await live.patch(name, {"price": 1.0})

    asyncio.run(change())
    assert [kind for kind, _ in noted] == ["put", "patch", "put", "patch", "delete", "delete"]
    assert all(0 < seconds < PATIENCE for _, seconds in noted)
    again = opened(live, searcher)
    for name in (BASE[0], BASE[1], "new/1 ö"):
        here, there = live.layer.gallery(), again.gallery()
        assert [*here.describe(here.rows_of_item(name))] == [*there.describe(there.rows_of_item(name))]


names = st.sampled_from([*BASE[:4], "new-0", "new-1", "new-2"])
operations = st.one_of(
    st.tuples(st.just("put"), names, st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True)),
    st.tuples(st.just("patch"), names, st.sampled_from([None, 1.0, 2.0])),
    st.tuples(st.just("delete"), names, st.none()),
    st.tuples(st.sampled_from(["restart", "roll out", "new encoder"]), st.none(), st.none()),
)


@settings(max_examples=25, deadline=None)
@given(sequence=st.lists(operations, max_size=16))
def test_any_sequence_of_changes_restarts_and_bundles_is_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, sequence: list
) -> None:
    folder = tmp_path_factory.mktemp("state")
    model: dict[str, tuple[float | None, list[bytes]]] = {
        name: (1.0, [f"{name}/{view}".encode() for view in range(2)]) for name in BASE
    }

    async def run() -> None:
        journal, searcher = Journal(folder), Searcher()
        live = serving(journal, searcher)
        for kind, name, value in sequence:
            if kind == "put":
                model[name] = 3.0, [picture(seed) for seed in value]
                await live.put(name, model[name][1], {"price": 3.0})
            elif kind == "patch" and name in model:
                model[name] = value, model[name][1]
                await live.patch(name, {"price": value})
            elif kind == "delete":
                model.pop(name, None)
                await live.delete(name)
            elif kind == "restart":
                journal.close()
                journal = Journal(folder)
                live = serving(journal, searcher)
            elif kind in ("roll out", "new encoder"):
                searcher = Searcher(
                    bundle_id=f"{searcher.bundle.bundle_id}+", salt=searcher.salt + (kind != "roll out")
                )
                layer = opened(live, searcher)
                async with live.handing_over(layer):
                    pass
                assert live.layer is layer
            compare(live.layer, searcher)
        journal.close()

    def compare(layer: Layer, searcher: Searcher) -> None:
        gallery = layer.gallery()
        for name in [*BASE[:4], "new-0", "new-1", "new-2"]:
            price, pictures = model.get(name, (None, []))
            rows = gallery.describe(gallery.rows_of_item(name))
            assert (len(rows), {row["price"] for row in rows}) == (len(pictures), {price} if pictures else set())
            for data in pictures:  # Items may share a picture.
                hits = gallery.search(searcher.vector(data), 8)
                assert any(hit.row["item_id"] == name and (hit.score or 0) > 0.9999 for hit in hits)

    asyncio.run(run())


@pytest.mark.parametrize("files", [[b"no image"], [picture(1), picture(2)[:300]], []])
def test_what_is_no_image_changes_nothing(journal: Journal, files: list[bytes]) -> None:
    live = serving(journal, Searcher())
    with pytest.raises(LookalikeError, match=r"image (1 of 1|2 of 2)|no image"):
        asyncio.run(live.put("new", files, {}))
    assert journal.last_change == 0
    assert not has_item(live.layer.gallery(), "new")


def test_a_picture_without_a_usable_embedding_is_refused(journal: Journal) -> None:
    searcher = Searcher()
    searcher.refused.add(picture(1))
    with pytest.raises(ImageError, match="image 1 of 1: the encoder has no usable embedding"):
        asyncio.run(serving(journal, searcher).put("new", [picture(1)], {}))
    assert journal.last_change == 0


def test_where_there_is_no_room_nothing_is_kept(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_IMAGES", 2)
    live = serving(journal, Searcher())

    async def change() -> None:
        await live.put("a", [picture(1), picture(2)], {})
        with pytest.raises(LookalikeError, match="at most 2; export a new bundle that has the changes"):
            await live.put("b", [picture(3)], {})
        assert journal.last_change == 1
        await live.put("a", [picture(3)], {})
        await live.put("b", [picture(3)], {})

    asyncio.run(change())
    monkeypatch.setattr(changes, "MOST_IMAGES", 1)
    with pytest.raises(LookalikeError, match="export a new bundle"):
        opened(live, Searcher())
    assert has_item(opened(live, Searcher(), changes_after=2).gallery(), "b")


def test_what_the_journal_refuses_is_not_visible(journal: Journal) -> None:
    live = serving(journal, Searcher())

    async def change() -> None:
        journal._writing.execute("PRAGMA query_only = ON")
        with pytest.raises(JournalError):
            await live.put("new", [picture(1)], {})
        with pytest.raises(JournalError):
            await live.delete(BASE[0])
        gallery = live.layer.gallery()
        assert (has_item(gallery, "new"), has_item(gallery, BASE[0])) == (False, True)
        journal._writing.execute("PRAGMA query_only = OFF")
        await live.put("new", [picture(1)], {})
        assert has_item(live.layer.gallery(), "new")

    asyncio.run(change())


def test_a_change_that_was_kept_and_not_shown_is_shown_with_the_next(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = serving(journal, Searcher())

    async def change() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(live.layer.changes, "put", None)
            with pytest.raises(TypeError):
                await live.put("new", [picture(1)], {})
        assert not has_item(live.layer.gallery(), "new")
        await live.delete(BASE[0])
        assert has_item(live.layer.gallery(), "new")

    asyncio.run(change())


def test_a_change_is_applied_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    live = serving(journal, Searcher())
    applied: list[str] = []
    apply = live.layer._apply

    async def change() -> None:
        monkeypatch.setattr(live.layer, "_apply", lambda one: (applied.append(one.item_id), apply(one)))
        await live.put("new", [picture(1)], {})
        await live.delete(BASE[0])
        await live.patch("new", {"price": 1.0})

    asyncio.run(change())
    assert applied == ["new", BASE[0], "new"]


def test_a_bundle_gets_the_changes_after_those_that_it_has(journal: Journal) -> None:
    live = serving(journal, Searcher())

    async def change() -> None:
        await live.put("old", [picture(1)], {"price": 1.0})
        await live.patch(BASE[0], {"price": 5.0})
        await live.delete(BASE[1])
        assert journal.last_change == 3
        await live.patch("old", {"in_stock": False})
        await live.patch(BASE[0], {"in_stock": False})
        await live.put("new", [picture(2)], {})

    asyncio.run(change())

    def prices(layer: Layer, name: str) -> set[tuple[Any, Any]]:
        gallery = layer.gallery()
        return {(row["price"], row["in_stock"]) for row in gallery.describe(gallery.rows_of_item(name))}

    # As if the new catalogue had put other values since: these are not undone by changes that it has.
    two = Searcher(bundle_id="two", items=[*BASE, "old"])
    for more in ({"changes_after": 3}, {}):  # Kept for this bundle.
        layer = opened(live, two, **more)
        assert has_item(layer.gallery(), BASE[1])
        assert prices(layer, BASE[0]) == prices(layer, "old") == {(1.0, False)}
        assert len(layer.gallery().vectors_of_item("old")) == 2
        assert has_item(layer.gallery(), "new")
    everything = opened(live, Searcher(bundle_id="three"))
    assert (prices(everything, BASE[0]), prices(everything, "old")) == ({(5.0, False)}, {(1.0, False)})
    assert not has_item(everything.gallery(), BASE[1])
    with pytest.raises(ConfigError, match="changes_after=7: the last change is 6"):
        opened(live, two, changes_after=7)


def test_an_item_that_a_bundle_has_again_is_changed_in_that_bundle(journal: Journal) -> None:
    live = serving(journal, Searcher())

    async def change() -> None:
        await live.delete(BASE[0])
        live.serve(opened(live, Searcher(bundle_id="two"), changes_after=1))
        await live.patch(BASE[0], {"price": 9.0})
        gallery = live.layer.gallery()
        assert gallery.describe(gallery.rows_of_item(BASE[0]))[0]["price"] == 9.0

    asyncio.run(change())
    assert not has_item(opened(live, Searcher()).gallery(), BASE[0])


def test_only_another_encoder_embeds_again(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    live = serving(journal, Searcher())

    async def change() -> None:
        for seed in range(3):
            await live.put(f"new-{seed}", [picture(seed)], {})

    asyncio.run(change())
    same, other = Searcher(bundle_id="two"), Searcher(bundle_id="three", salt=5)
    other.refused.add(picture(1))
    opened(live, same)
    assert same.embedded == []
    with caplog.at_level(logging.ERROR):
        layer = opened(live, other)
    assert other.embedded == [picture(0), picture(1), picture(2)]
    assert [has_item(layer.gallery(), f"new-{seed}") for seed in range(3)] == [True, False, True]
    assert "bundle three: item 'new-1' stays as it was: the encoder has no usable embedding" in caplog.text
    assert found(layer, other, picture(2))["item_id"] == "new-2"
    third = Searcher(bundle_id="four", salt=5)
    opened(live, third)
    assert third.embedded == [picture(1)]


def test_an_embedding_that_is_damaged_is_made_again(journal: Journal) -> None:
    searcher = Searcher()
    live = serving(journal, searcher)
    asyncio.run(live.put("new", [picture(1)], {}))
    journal._writing.execute("UPDATE embeddings SET vector = zeroblob(length(vector))")
    again = Searcher()
    assert found(opened(live, again), again, picture(1))["item_id"] == "new"
    assert again.embedded == [picture(1)]


def test_a_bundle_catches_up_with_a_third_of_a_core_while_another_answers(journal: Journal) -> None:
    class Busy(Searcher):
        def embed_pixels(self, pixels: Any) -> Any:
            until = time.thread_time() + 0.05
            while time.thread_time() < until:
                pass
            return super().embed_pixels(pixels)

    searcher = Busy()
    live = LiveItems(journal=journal)
    for number in range(10):
        data = picture(number)
        one = Picture(picture_id(f"i{number}", data), data, b"", searcher.vector(data))
        journal.put(f"i{number}", {}, [one], made_by="another encoder")
    began, worked = time.perf_counter(), time.thread_time()
    layer = opened(live, searcher, rest=2.0)
    assert time.thread_time() - worked < 0.4 * (time.perf_counter() - began)
    assert len(layer.gallery()) == 2 * len(BASE) + 10


class Slow(Searcher):
    """An encoder that waits until it is let go on.

    Attributes:
        most: pictures that were embedded at once, at most.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.began, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self._lock, self._now, self.most = threading.Lock(), 0, 0

    def pixels(self, data: bytes) -> Any:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.began.release()
        assert self.go_on.acquire(timeout=PATIENCE)
        with self._lock:
            self._now -= 1
        return super().pixels(data)


async def waited(event: Callable[[], object]) -> None:
    assert await asyncio.to_thread(event)


def test_two_calls_embed_at_once(journal: Journal) -> None:
    searcher = Slow()
    live = serving(journal, searcher)

    async def change() -> None:
        calls = [asyncio.ensure_future(live.put(f"new-{seed}", [picture(seed)], {})) for seed in range(5)]
        for _ in range(2):
            await waited(lambda: searcher.began.acquire(timeout=PATIENCE))
        assert searcher.most == 2
        searcher.go_on.release(5)
        await asyncio.gather(*calls)

    asyncio.run(change())
    assert searcher.most == 2
    assert journal.last_change == 5


def test_a_put_that_a_new_bundle_overtakes_is_embedded_by_both_encoders(journal: Journal) -> None:
    one, two = Slow(), Searcher(bundle_id="two", salt=3)
    live = serving(journal, one)

    async def change() -> None:
        call = asyncio.ensure_future(live.put("new", [picture(1)], {}))
        await waited(lambda: one.began.acquire(timeout=PATIENCE))
        async with live.handing_over(opened(live, two)):
            pass
        one.go_on.release()
        await call
        assert found(live.layer, two, picture(1))["item_id"] == "new"

    asyncio.run(change())
    assert two.embedded == [picture(1)]


def test_changes_wait_while_a_bundle_takes_over_and_go_to_it(journal: Journal) -> None:
    live = serving(journal, Searcher())
    first = live.layer

    async def change() -> None:
        layer = opened(live, Searcher(bundle_id="two"))
        await live.delete(BASE[0])  # After the layer was opened.
        async with live.handing_over(layer):
            assert not has_item(layer.gallery(), BASE[0])
            call = asyncio.ensure_future(live.delete(BASE[1]))
            await asyncio.wait([call], timeout=0.05)
            assert journal.last_change == 1
        await call
        assert [has_item(one.gallery(), BASE[1]) for one in (first, layer)] == [True, False]
        await live.delete(BASE[2])

    asyncio.run(change())
    assert live.layer is not first


def test_a_bundle_that_does_not_take_over_leaves_the_other_one(journal: Journal) -> None:
    live = serving(journal, Searcher())
    first = live.layer

    async def change() -> None:
        layer = opened(live, Searcher(bundle_id="two"))
        with pytest.raises(RuntimeError):
            async with live.handing_over(layer):
                raise RuntimeError
        await live.delete(BASE[1])
        assert not has_item(first.gallery(), BASE[1])

    asyncio.run(change())
    assert live.layer is first


@asynccontextmanager
async def leaving(call: Awaitable[Any], began: threading.Event, go_on: threading.Event) -> AsyncIterator[None]:
    """A call whose caller leaves, more than once, while it works; within the block it goes on working."""
    task = asyncio.ensure_future(call)
    await waited(lambda: began.wait(PATIENCE))
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not task.done()
    try:
        yield
    finally:
        go_on.set()
        await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.parametrize("fails", [False, True])
def test_a_caller_that_leaves_neither_stops_a_change_nor_lets_the_next_one_in(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    live = serving(journal, Searcher())
    began, go_on = threading.Event(), threading.Event()
    delete = journal.delete

    def slow(item_id: str) -> int:
        began.set()
        assert go_on.wait(PATIENCE)
        if fails:
            raise JournalError("no room")
        return delete(item_id)

    async def change() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "delete", slow)
            async with leaving(live.delete(BASE[0]), began, go_on):
                next_one = asyncio.ensure_future(live.patch(BASE[1], {"price": 2.0}))
                await asyncio.wait([next_one], timeout=0.05)
                assert not next_one.done()
        await next_one
        assert has_item(live.layer.gallery(), BASE[0]) is fails

    asyncio.run(change())
    assert journal.last_change == (1 if fails else 2)


@pytest.mark.slow
def test_ten_thousand_items_are_replayed_in_seconds(journal: Journal) -> None:
    searcher = Searcher()
    live = LiveItems(journal=journal)
    journal._writing.execute("PRAGMA synchronous = OFF")
    for number in range(10_000):
        data = b"%d" % number
        one = Picture(picture_id(f"i{number}", data), data, b"", searcher.vector(data))
        journal.put(f"i{number}", {"price": 1.0}, [one], made_by="encoder 0")
    began = time.process_time()
    layer = opened(live, searcher)
    assert time.process_time() - began < 10
    assert len(layer.gallery()) == 2 * len(BASE) + 10_000
    assert found(layer, searcher, b"7777")["item_id"] == "i7777"
