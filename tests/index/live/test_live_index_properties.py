"""Any sequence of changes, merges and openings against a dictionary, and threads against the states between."""

import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from src.index.best_items import search_items
from src.index.filters import Between
from src.index.live import LiveIndex, LiveReader, LiveSettings

DIM = 4
IMAGES = [f"image-{number}" for number in range(12)]
ITEMS = [f"item-{number}" for number in range(4)]
# Few vectors, so that images tie; tied ones may come in any order.
VECTORS = [vector / np.linalg.norm(vector) for vector in np.random.default_rng(0).standard_normal((9, DIM))]
QUERIES = np.array(VECTORS[:3] + [-VECTORS[0]], np.float32)

rows = st.lists(
    st.tuples(st.sampled_from(IMAGES), st.sampled_from(ITEMS), st.integers(0, 8), st.sampled_from([None, 1.0, 2.0])),
    max_size=6,
)


class LiveIndexAgainstADictionary(RuleBasedStateMachine):
    @initialize(rows=rows, layout=st.sampled_from(["exact", "hnsw_fp16"]))
    def create(self, rows: list, layout: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="live-"))
        self.model: dict[str, tuple] = {}
        for row in rows:
            self.model[row[0]] = row[1:]
        self.index = LiveIndex.create(
            self.folder / "index",
            image_ids=list(self.model),
            item_ids=[row[0] for row in self.model.values()],
            vectors=np.array([VECTORS[row[1]] for row in self.model.values()], np.float32).reshape(-1, DIM),
            attributes={"price": pa.array([row[2] for row in self.model.values()], pa.float64())},
            settings=LiveSettings(layout=layout, merge_rows=0, gate_queries=5, min_recall=0),
        )
        self.reader = LiveReader(self.folder / "index")
        self.tolerance = 1e-6 if layout == "exact" else 2e-3

    @rule(rows=rows)
    def upsert(self, rows: list) -> None:
        images, items, vectors, prices = zip(*rows, strict=True) if rows else ((), (), (), ())
        self.index.upsert(images, items, np.array([VECTORS[v] for v in vectors]).reshape(-1, DIM), {"price": prices})
        for row in rows:
            self.model[row[0]] = row[1:]

    @rule(images=st.lists(st.sampled_from(IMAGES), max_size=4))
    def delete(self, images: list) -> None:
        self.index.delete(images)
        self.model = {image: row for image, row in self.model.items() if image not in images}

    @rule(items=st.lists(st.sampled_from(ITEMS), max_size=2))
    def delete_items(self, items: list) -> None:
        self.index.delete_items(items)
        self.model = {image: row for image, row in self.model.items() if row[0] not in items}

    @rule()
    def merge(self) -> None:
        self.index.merge()

    @rule()
    def open_again(self) -> None:
        self.index.close()
        self.index = LiveIndex.open(self.folder / "index")

    @rule(k=st.integers(1, 14), price=st.sampled_from([None, 1.0]))
    def search(self, k: int, price: float | None) -> None:
        scores, names = self.index.search(QUERIES, k, [] if price is None else [Between("price", price, price)])
        passing = {image: row for image, row in self.model.items() if price is None or row[2] == price}
        for query, found_scores, found in zip(QUERIES, scores, names, strict=True):
            true = {image: float(VECTORS[row[1]] @ query) for image, row in passing.items()}
            count = min(k, len(true))
            assert len(set(found[:count])) == count
            assert found[count:] == [None] * (k - count)
            np.testing.assert_allclose(
                found_scores[:count], [true[image] for image in found[:count]], atol=self.tolerance
            )
            best = sorted(true.values(), reverse=True)[:count]
            np.testing.assert_allclose(found_scores[:count], best, atol=self.tolerance)

    @rule(k=st.integers(1, 5))
    def search_for_items(self, k: int) -> None:
        snapshot = self.index.snapshot()
        scores, rows = search_items(snapshot, QUERIES[0], snapshot.item_of_row, k)
        best: dict[str, float] = {}
        for item, vector, _ in self.model.values():
            best[item] = max(best.get(item, -2.0), float(VECTORS[vector] @ QUERIES[0]))
        expected = sorted(best.values(), reverse=True)[:k]
        np.testing.assert_allclose(scores, expected, atol=self.tolerance)
        for score, item in zip(scores, snapshot.item_ids(rows), strict=True):
            assert abs(best[str(item)] - score) <= self.tolerance

    @rule()
    def follow(self) -> None:
        self.reader.refresh()
        self._agrees(self.reader)

    @invariant()
    def holds_what_it_should(self) -> None:
        if hasattr(self, "index"):
            self._agrees(self.index)
            assert self.index.metrics().rows == len(self.model)

    def _agrees(self, index: LiveIndex | LiveReader) -> None:
        snapshot = index.snapshot()
        table = snapshot.rows.filter(pa.array(snapshot.alive))
        held = {row["image_id"]: (row["item_id"], row["price"]) for row in table.to_pylist()}
        assert held == {image: (row[0], row[2]) for image, row in self.model.items()}
        assert len(table) == len(held)

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()
            shutil.rmtree(self.folder)


LiveIndexAgainstADictionary.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestLiveIndexAgainstADictionary = LiveIndexAgainstADictionary.TestCase


def test_readers_see_whole_changes_while_upserts_and_merges_run(tmp_path: Path) -> None:
    """Change n gives all images version n: a search that finds two versions has seen half a change."""
    count, versions = 30, 120
    base = np.random.default_rng(0).standard_normal((count, DIM))
    base = (base / np.linalg.norm(base, axis=1, keepdims=True)).astype(np.float32)
    names = [f"image-{row}" for row in range(count)]
    index = LiveIndex.create(
        tmp_path / "index",
        image_ids=names,
        item_ids=names,
        vectors=base,
        attributes={"version": pa.array([0] * count, pa.int64())},
        settings=LiveSettings(merge_rows=200, gate_queries=5),
    )
    done = 0
    failures: list[str] = []
    searches = [0, 0]

    def read(reader: int) -> None:
        while done < versions and not failures:
            before = done
            snapshot = index.snapshot()
            _, rows = snapshot.search(base[:2], count + 5)
            after = done
            for found in rows:
                found = found[found >= 0]
                seen = {snapshot.rows["version"][int(row)].as_py() for row in found}
                # The change that is being made may be seen before upsert returns.
                if len(found) != count or len(seen) != 1 or not before <= min(seen) <= after + 1:
                    failures.append(f"{len(found)} rows of versions {seen} between {before} and {after}")
            searches[reader] += 1

    readers = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    for reader in readers:
        reader.start()
    try:
        for version in range(1, versions + 1):
            index.upsert(names, names, base, {"version": [version] * count})
            done = version
    finally:
        done = versions
        for reader in readers:
            reader.join()
    index.wait_for_merge()
    assert not failures
    assert min(searches) > 20
    assert index.metrics().merges > 2
    index.close()


def test_threads_that_write_share_syncs_and_lose_nothing(tmp_path: Path) -> None:
    with LiveIndex.create(
        tmp_path / "index",
        image_ids=[],
        item_ids=[],
        vectors=np.empty((0, DIM), np.float32),
        settings=LiveSettings(merge_rows=100, gate_queries=5),
    ) as index:

        def write(writer: int) -> None:
            for number in range(40):
                name = f"{writer}-{number}"
                index.upsert([name], [name], VECTORS[number % 9][None])
                assert name in index.search(VECTORS[number % 9][None], 400)[1][0]
                if number % 4 == 0:
                    index.delete([name])

        writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        sequence = index.metrics().sequence
        assert sequence < 6 * 50
    with LiveIndex.open(tmp_path / "index") as index:
        snapshot = index.snapshot()
        assert snapshot.sequence == sequence
        expected = {f"{writer}-{number}" for writer in range(6) for number in range(40) if number % 4}
        assert set(snapshot.image_ids(np.flatnonzero(snapshot.alive))) == expected
