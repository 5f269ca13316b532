"""Versioned changes against a model: the newest version of each item, whatever the order and the failures."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import ConfigError, JournalError, LookalikeError, TableError
from src.index.change_store import ChangeStore, ItemChange
from src.index.milvus_catalogue import DERIVED, ENCODER_ID
from src.index.milvus_changes import MilvusChanges
from src.index.milvus_index import MilvusIndex
from src.index.vector_digest import vector_hash
from tests.serve.servers import postgres_server

DIM = 8
COLUMNS = {"category": pa.string(), "price": pa.float64(), "parent_id": pa.string(), "day": pa.date32(), **DERIVED}
ITEMS = [f"item-{number}" for number in range(6)]


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = str(tmp_path_factory.mktemp("changes") / "shop.db")
    with MilvusIndex.create(path, "keeps_it_open", dim=DIM, kind="FLAT"):
        yield path


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield server.url


@pytest.fixture
def index(lite: str) -> Iterator[MilvusIndex]:
    name = f"c{uuid4().hex}"
    with MilvusIndex.create(
        lite, name, dim=DIM, kind="FLAT", attributes=COLUMNS, partition_by="category", properties={ENCODER_ID: "e"}
    ) as index:
        yield index


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChangeStore]:
    store = ChangeStore(f"sqlite:///{tmp_path / 'changes.sqlite'}", settle=0.0)
    yield store
    store.close()


def put(item_id: str, version: int, images: int = 2, **more: Any) -> ItemChange:
    vectors = np.random.default_rng(version).standard_normal((images, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{item_id}/{version if image else 'front'}" for image in range(images)]
    attributes = {"category": f"c{version % 3}", "price": float(version), **more.pop("attributes", {})}
    return ItemChange(
        item_id, version, False, attributes, dict(zip(names, vectors, strict=True)), **{"encoder_id": "e", **more}
    )


def gone(item_id: str, version: int) -> ItemChange:
    return ItemChange(item_id, version, deleted=True)


def content(index: MilvusIndex) -> dict[str, tuple[Any, ...]]:
    columns = ["item_id", "version", "price", "category", "parent_key", "vector_hash", "vector"]
    rows = [row for page in index.scan(columns) for row in page]
    for row in rows:
        assert vector_hash(row.pop("vector")) == row["vector_hash"]
    assert len({row["image_id"] for row in rows}) == len(rows)
    return {row["image_id"]: (row["item_id"], row["version"], row["price"], row["category"]) for row in rows}


def expected(changes: list[ItemChange]) -> dict[str, tuple[Any, ...]]:
    newest: dict[str, ItemChange] = {}
    for change in changes:
        if change.item_id not in newest or change.version > newest[change.item_id].version:
            newest[change.item_id] = change
    return {
        image: (one.item_id, one.version, one.attributes["price"], one.attributes["category"])
        for one in newest.values()
        if not one.deleted
        for image in one.vectors
    }


def some_changes(seed: int, count: int) -> list[ItemChange]:
    rng = np.random.default_rng(seed)
    return [
        gone(str(rng.choice(ITEMS)), version)
        if rng.random() < 0.3
        else put(str(rng.choice(ITEMS)), version, int(rng.integers(1, 4)))
        for version in range(1, count + 1)
    ]


def test_the_newest_wins_in_whatever_order_they_come(index: MilvusIndex, store: ChangeStore) -> None:
    changes = MilvusChanges(store, index)
    for seed in range(3):
        known = some_changes(seed, 40)
        known = [
            ItemChange(one.item_id, one.version + 100 * seed, one.deleted, one.attributes, one.vectors, one.encoder_id)
            for one in known
        ]
        order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(known)), 2))
        for part in np.array_split(order, 17):
            changes.write([known[place] for place in part])
        assert content(index) == expected(known)
    assert store.pending() == 0


def test_an_older_write_never_brings_back_what_was_deleted(index: MilvusIndex, store: ChangeStore) -> None:
    changes = MilvusChanges(store, index)
    assert changes.write([put("a", 1), put("b", 2)]) == [True, True]
    assert changes.write([gone("a", 4)]) == [True]
    assert changes.write([put("a", 3), put("a", 1), gone("a", 4), put("b", 2)]) == [False, False, True, True]
    assert {row[0] for row in content(index).values()} == {"b"}
    assert store.compact(3600) == 0
    assert store.compact(-1) == 1
    assert changes.write([put("a", 3), put("new", 4)]) == [False, False]  # As old as a tombstone that was forgotten.
    assert changes.write([put("a", 5), put("new", 6), put("b", 3)]) == [True, True, True]
    assert {row[0] for row in content(index).values()} == {"a", "b", "new"}


class Failing:
    """Milvus, whose writes fail at times, before or after they were done."""

    def __init__(self, index: MilvusIndex, rng: np.random.Generator) -> None:
        self._index, self._rng = index, rng
        self.share = 0.5

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._index, name)
        if name not in ("upsert", "delete", "rows"):
            return found

        def call(*values: Any, **named: Any) -> Any:
            before, after = self._rng.random(2) < self.share / 2
            if before:
                raise LookalikeError("Milvus is away")
            result = found(*values, **named)
            if after:
                raise LookalikeError("Milvus is away")
            return result

        return call


def test_what_milvus_was_not_given_is_repaired(index: MilvusIndex, store: ChangeStore) -> None:
    failing = Failing(index, np.random.default_rng(5))
    changes = MilvusChanges(store, failing)  # type: ignore[arg-type]
    known = some_changes(9, 80)
    for start in range(0, len(known), 4):
        changes.write(known[start : start + 4])
    assert store.pending()
    assert store.waits_for(80)
    assert not store.waits_for(0)
    failing.share = 0.0
    assert changes.repair()
    assert store.pending() == 0
    assert not store.waits_for(80)
    assert content(index) == expected(known)


def test_what_arrives_late_is_written_over(index: MilvusIndex, tmp_path: Path) -> None:
    store = ChangeStore(f"sqlite:///{tmp_path / 'late.sqlite'}", settle=0.2)
    failing = Failing(index, np.random.default_rng(5))
    changes = MilvusChanges(store, failing)  # type: ignore[arg-type]
    failing.share = 2.0
    changes.write([put("a", 1)])
    failing.share = 0.0
    changes.write([put("a", 2)])
    assert store.pending() == 0
    late = put("a", 1)  # The first attempt, whose end nobody saw.
    index.upsert(
        [*late.vectors],
        ["a"] * 2,
        np.stack([*late.vectors.values()]),
        {"version": [1, 1], "price": [1.0, 1.0], "category": ["c1"] * 2},
    )
    settled = threading.Event()
    settled.wait(0.25)
    changes.repair()
    assert content(index) == expected([put("a", 2)])
    assert changes.repair() == 0
    store.close()


def test_two_writers_on_postgresql_agree(postgres: str, index: MilvusIndex) -> None:
    known = some_changes(3, 60)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        store = ChangeStore(postgres)
        failing = Failing(index, np.random.default_rng(seed))
        failing.share = 0.2
        changes = MilvusChanges(store, failing)  # type: ignore[arg-type]
        try:
            order = np.random.default_rng(seed).permutation(len(known))
            for part in np.array_split(order, 20):
                changes.write([known[place] for place in part])
                changes.repair()
        except BaseException as error:
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    store = ChangeStore(postgres)
    MilvusChanges(store, index).repair()
    assert store.pending() == 0
    assert content(index) == expected(known)
    store.close()


def test_a_new_collection_gets_what_changed_since(lite: str, index: MilvusIndex, store: ChangeStore) -> None:
    known = some_changes(4, 30)
    MilvusChanges(store, index).write(known)
    store.accept([put("other", 31, encoder_id="f")])
    with MilvusIndex.create(
        lite, f"c{uuid4().hex}", dim=DIM, kind="FLAT", attributes=COLUMNS, properties={ENCODER_ID: "e"}
    ) as newer:
        changes = MilvusChanges(store, newer)
        assert changes.replay(0) == len({change.item_id for change in known})
        assert content(newer) == expected(known)
        late = put("late", 40)
        MilvusChanges(store, index).write([late])
        assert "late/front" not in content(newer)
        store.retarget(31)
        changes.repair()
        assert content(newer) == expected([*known, late])
        # What another encoder embedded waits until it is sent again, in the same version.
        assert store.pending() == 1
        assert changes.write([put("other", 31)]) == [True]
        assert store.pending() == 0
        assert content(newer) == expected([*known, late, put("other", 31)])


def test_dates_and_parents_are_kept(index: MilvusIndex, store: ChangeStore) -> None:
    changes = MilvusChanges(store, index)
    changes.write([put("a", 1, attributes={"day": "2026-11-30", "parent_id": "p"}), put("b", 2)])
    rows = {row["item_id"]: row for page in index.scan(["item_id", "day", "parent_key"]) for row in page}
    assert str(rows["a"]["day"]) == "2026-11-30"
    assert (rows["a"]["parent_key"], rows["b"]["parent_key"]) == ("parent p", "item b")


def test_what_does_not_fit_is_refused_before_it_is_kept(lite: str, index: MilvusIndex, store: ChangeStore) -> None:
    changes = MilvusChanges(store, index)
    good = put("a", 1)
    for bad, message in (
        (put("a", 0), "versions of changes begin with 1"),
        (ItemChange("a", 2, encoder_id="e"), "has no image"),
        (put("a", 2, encoder_id="f"), "encoder 'f' embedded it, the collection's is 'e'"),
        (put("a", 2, attributes={"colour": "red"}), "colour are not in this index"),
        (put("a", 2, attributes={"price": "cheap"}), "column price must be double"),
        (put("a", 2, attributes={"day": "yesterday"}), "column day: .*ISO 8601"),
        (put("a", 2, attributes={"version": 7}), "version follow"),
        (ItemChange("a", 2, vectors={"x": np.ones(3, np.float32)}, encoder_id="e"), r"not of shape \(8,\)"),
        (ItemChange("a", 2, vectors={"x": np.ones(8, np.float32)}, encoder_id="e"), "L2-normalised"),
    ):
        with pytest.raises(TableError, match=message):
            changes.write([good, bad])
    assert content(index) == {}
    assert [*store.changes(0)] == []
    with (
        MilvusIndex(lite, "keeps_it_open") as plain,
        pytest.raises(LookalikeError, match=r"no column parent_key.*export\.py"),
    ):
        MilvusChanges(store, plain)
    with pytest.raises(ConfigError, match="use postgresql"):
        ChangeStore("mysql+pymysql://127.0.0.1/x")
    with pytest.raises(JournalError, match="changes in sqlite"):
        ChangeStore("sqlite:////nowhere/at/all.sqlite")
