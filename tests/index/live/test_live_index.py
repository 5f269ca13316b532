"""The live index: replacing, deleting, merging, full disks, one writer, several readers."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import BundleError, ConfigError, FilterError, GateError, LookalikeError, TableError
from src.index.best_items import search_items
from src.index.faiss_index import FaissIndex
from src.index.filters import AnyOf, Between
from src.index.live import LiveIndex, LiveReader, LiveSettings, live_index, merge
from src.index.live.log import segment_path
from src.index.live.state import LiveState

DIM = 16
MANUAL = LiveSettings(merge_rows=0, gate_queries=20)


def unit(rows: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def create(folder: Path, rows: int = 100, settings: LiveSettings = MANUAL) -> LiveIndex:
    """Two images an item; `price` is the row."""
    return LiveIndex.create(
        folder,
        image_ids=[f"image-{row}" for row in range(rows)],
        item_ids=[f"item-{row // 2}" for row in range(rows)],
        vectors=unit(rows),
        attributes={"price": pa.array(np.arange(rows, dtype=np.float64))},
        settings=settings,
    )


def first(index: LiveIndex, vector: np.ndarray, k: int = 1) -> list:
    return index.search(vector[None], k)[1][0]


@pytest.mark.parametrize("merged", [False, True])
def test_a_replaced_image_is_found_where_it_is_and_not_where_it_was(tmp_path: Path, merged: bool) -> None:
    old, new = unit(100)[7], unit(1, seed=1)[0]
    with create(tmp_path / "index") as index:
        index.upsert(["image-7"], ["item-99"], new[None], {"price": [0.5]})
        if merged:
            index.merge()
        assert first(index, new) == ["image-7"]
        assert first(index, old, 100).index("image-7") > 0
        assert len(set(first(index, old, 100))) == 100
        snapshot = index.snapshot()
        _, rows = snapshot.search(new[None], 1)
        assert snapshot.item_ids(rows[0]) == ["item-99"]
        assert snapshot.rows["price"][int(rows[0, 0])].as_py() == 0.5


def test_deleting_an_item_spares_an_image_that_moved_away(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["image-0", "new"], ["other", "item-0"], unit(2, seed=1))
        index.delete_items(["item-0", "never seen"])
        found = first(index, unit(1)[0], 200)
        assert "image-0" in found
        assert not {"image-1", "new"} & set(found)
        index.delete(["image-0", "never seen"])
        assert "image-0" not in first(index, unit(1)[0], 200)
        assert index.metrics().rows == 98


def test_items_are_found_through_search_items(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        near = unit(100)[10]
        index.upsert(["a", "b"], ["item-5", "new"], np.stack([near, near]))
        snapshot = index.snapshot()
        scores, rows = search_items(snapshot, near, snapshot.item_of_row, 60)
        assert set(snapshot.item_ids(rows[:2])) == {"item-5", "new"}
        assert len(set(snapshot.item_ids(rows))) == len(rows) == 51
        assert (np.diff(scores) <= 0).all()


def test_filters_reach_main_and_delta(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["cheap", "unpriced"], ["x", "y"], unit(2, seed=1), {"price": [3.0, None]})
        index.delete(["image-1"])
        _, found = index.search(unit(1), 100, [Between("price", None, 4.5)])
        assert {name for name in found[0] if name} == {"image-0", "image-2", "image-3", "image-4", "cheap"}
        _, found = index.search(unit(1), 2, [Between("price", None, 4.5), AnyOf("item_id", frozenset({"x", "item-2"}))])
        assert set(found[0]) == {"image-4", "cheap"}
        with pytest.raises(FilterError, match="no such column"):
            index.search(unit(1), 1, [AnyOf("colour", frozenset({"red"}))])
        with pytest.raises(LookalikeError, match="`allowed` has shape"):
            index.snapshot().search(unit(1), 1, np.ones(3, bool))


@pytest.mark.parametrize("layout", ["exact", "hnsw_fp16"])
def test_the_dead_around_a_query_do_not_hide_the_living(tmp_path: Path, layout: str) -> None:
    query = unit(1)[0]
    near = query + 0.01 * unit(300, seed=1)
    vectors = np.concatenate([near / np.linalg.norm(near, axis=1, keepdims=True), unit(50, seed=2)])
    names = [str(row) for row in range(350)]
    settings = LiveSettings(layout=layout, merge_rows=0, min_recall=0)
    with LiveIndex.create(
        tmp_path / "index", image_ids=names, item_ids=names, vectors=vectors, settings=settings
    ) as index:
        index.delete(names[:300])
        assert set(first(index, query, 50)) == set(names[300:])


def test_a_snapshot_stays_as_it_was(tmp_path: Path) -> None:
    vectors = unit(100)
    with create(tmp_path / "index") as index:
        index.upsert(["early"], ["e"], unit(1, seed=1))
        snapshot = index.snapshot()
        before = snapshot.search(vectors, 101)
        for number in range(40):
            index.upsert([f"late-{number}-{row}" for row in range(60)], ["l"] * 60, unit(60, seed=number))
        index.delete([f"image-{row}" for row in range(50)])
        index.merge()
        index.delete(["early"])
        for array, again in zip(before, snapshot.search(vectors, 101), strict=True):
            np.testing.assert_array_equal(array, again)
        assert snapshot.alive.sum() == 101
        assert index.metrics().rows == 50 + 40 * 60


def test_changes_survive_opening_and_merging(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["a", "b", "a"], ["x", "x", "y"], unit(3, seed=1), {"price": [1, 2, 3]})
        index.delete(["b", "image-3"])
        expected = index.search(unit(5), 20)
    for _ in range(3):
        with LiveIndex.open(tmp_path / "index") as index:
            scores, names = index.search(unit(5), 20)
            assert names == expected[1]
            np.testing.assert_allclose(scores, expected[0], atol=1e-6)
            report = index.merge()
            assert (report.rows, report.recall_at_10) == (100, 1.0)
    files = sorted(path.name for path in (tmp_path / "index").iterdir())
    assert files == ["CURRENT", "LOCK", "generation-00000003", "log-00000003"]


def test_what_arrives_while_a_merge_builds_is_carried_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["a", "b", "c"], ["x"] * 3, unit(3, seed=1))
        build = live_index.merge_snapshot

        def meanwhile(*arguments: object, **keywords: object) -> object:
            index.upsert(["a", "image-0", "d"], ["y"] * 3, unit(3, seed=2))
            index.delete(["b", "image-1"])
            return build(*arguments, **keywords)

        monkeypatch.setattr(live_index, "merge_snapshot", meanwhile)
        index.merge()
        metrics = index.metrics()
        # Of the new main rows a, b, image-0 and image-1 are dead; a, image-0 and d are in the delta.
        assert (metrics.main_rows, metrics.delta_rows, metrics.tombstones, metrics.rows) == (103, 3, 4, 102)
        expected = index.search(unit(4), 110)
        assert first(index, unit(3, seed=2)[0]) == ["a"]
    with LiveIndex.open(tmp_path / "index") as index:
        assert index.search(unit(4), 110)[1] == expected[1]


def test_a_merge_that_finds_too_little_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["a"], ["x"], unit(1, seed=1))
        before = index.search(unit(5), 101)
        build = FaissIndex.build

        def worse(vectors: np.ndarray, **keywords: object) -> FaissIndex:
            return build(vectors[::-1], **keywords)

        monkeypatch.setattr(merge.FaissIndex, "build", worse)
        with pytest.raises(GateError, match=r"min_recall=0.95.*not taken"):
            index.merge()
        monkeypatch.undo()
        metrics = index.metrics()
        assert (metrics.merges, metrics.merges_failed, metrics.generation) == (0, 1, 0)
        assert "min_recall" in metrics.merge_problem
        assert index.search(unit(5), 101)[1] == before[1]
        index.delete(["a"])
        index.merge()
        assert index.metrics().generation == 1


def test_a_merge_starts_by_itself(tmp_path: Path) -> None:
    with create(tmp_path / "index", settings=LiveSettings(merge_rows=50, gate_queries=5)) as index:
        for number in range(60):
            index.upsert([f"n-{number}-{row}" for row in range(5)], ["x"] * 5, unit(5, seed=number))
        index.wait_for_merge()
        metrics = index.metrics()
        assert metrics.merges >= 1
        assert metrics.delta_rows < 4 * 50 + 5
        assert metrics.rows == 400
        assert 0 < metrics.lag_p50_ms <= metrics.lag_p99_ms


@pytest.mark.parametrize(("main", "enough"), [(0, 500), (100, 500), (4_000, 1_000)])
def test_a_short_index_is_merged_after_fewer_changes(tmp_path: Path, main: int, enough: int) -> None:
    settings = LiveSettings(merge_rows=20_000, gate_queries=5)
    with create(tmp_path / "index", rows=main, settings=settings) as index:
        index.upsert([f"n-{row}" for row in range(enough - 1)], ["x"] * (enough - 1), unit(enough - 1, seed=1))
        index.wait_for_merge()
        assert index.metrics().merges == 0
        index.upsert(["last"], ["x"], unit(1, seed=2))
        index.wait_for_merge()
        assert index.metrics().merges == 1
        assert index.metrics().delta_rows == 0


def test_a_delta_that_cannot_be_merged_is_full_at_last(tmp_path: Path) -> None:
    poor = {"layout": "hnsw_fp16", "m": 2, "ef_construction": 1, "ef_search": 1, "merge_rows": 10}
    settings = LiveSettings(**poor, min_recall=0.0)
    with create(tmp_path / "index", settings=settings) as index:
        impossible = LiveSettings(
            layout="hnsw_fp16", merge_rows=10, min_recall=1.0, m=2, ef_construction=1, ef_search=1
        )
        object.__setattr__(index.snapshot().generation.facts, "settings", impossible)
        for number in range(40):
            index.upsert([f"n-{number}"], ["x"], unit(1, seed=number))
        index.wait_for_merge()
        with pytest.raises(LookalikeError, match="the last merge was abandoned"):
            index.upsert(["one too many"], ["x"], unit(1))
        assert index.metrics().delta_rows == 40


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with create(tmp_path / "index") as index:
        with monkeypatch.context() as patch:

            def full(*_: object) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(os, "write", full)
            with pytest.raises(LookalikeError, match="No space left"):
                index.upsert(["a"], ["x"], unit(1, seed=1))
            patch.setattr(merge, "write_vectors", full)
            with pytest.raises(LookalikeError, match=r"the merge failed: OSError: .*No space left"):
                index.merge()
        assert index.metrics().rows == 100
        assert index.metrics().sequence == 0
        index.upsert(["b"], ["x"], unit(1, seed=2))
        index.merge()
    with LiveIndex.open(tmp_path / "index") as index:
        assert first(index, unit(1, seed=2)[0]) == ["b"]
        assert index.metrics().rows == 101


def test_a_merge_that_fails_in_any_way_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with create(tmp_path / "index", settings=LiveSettings(merge_rows=5, gate_queries=5)) as index:

        def no_memory(*_: object, **__: object) -> None:
            raise MemoryError

        monkeypatch.setattr(live_index, "merge_snapshot", no_memory)
        index.upsert([f"n-{number}" for number in range(5)], ["x"] * 5, unit(5, seed=1))
        index.wait_for_merge()
        assert "MemoryError" in index.metrics().merge_problem
        index.upsert([f"m-{number}" for number in range(20)], ["x"] * 20, unit(20, seed=2))
        index.wait_for_merge()
        with pytest.raises(LookalikeError, match=r"abandoned: .*MemoryError.*call merge\(\)"):
            index.upsert(["one too many"], ["x"], unit(1))
        monkeypatch.undo()
        index.merge()
        index.upsert(["there is room"], ["x"], unit(1))


def test_what_could_not_be_taken_back_never_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["a"], ["x"], unit(1, seed=1))
        with monkeypatch.context() as patch:

            def failing(*_: object) -> None:
                raise OSError(errno.EIO, "Input/output error")

            patch.setattr(os, "fsync", failing)
            patch.setattr(os, "ftruncate", failing)
            with pytest.raises(LookalikeError, match="Input/output error; nor taken back"):
                index.upsert(["b"], ["x"], unit(1, seed=2))
        # Behind a further segment the refused frame would be in the middle of the log.
        with pytest.raises(LookalikeError, match="could not be undone"):
            index.merge()
    LiveIndex.open(tmp_path / "index").close()


def test_a_merge_that_was_interrupted_when_it_counted_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["a"], ["x"], unit(1, seed=1))
        publish = live_index.publish

        def interrupted(folder: Path, number: int) -> None:
            publish(folder, number)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(live_index, "publish", interrupted)
            with pytest.raises(KeyboardInterrupt):
                index.merge()
        index.upsert(["b"], ["x"], unit(1, seed=2))
        with pytest.raises(LookalikeError, match="was interrupted; close the index"):
            index.merge()
    with LiveIndex.open(tmp_path / "index") as index:
        assert (index.metrics().generation, index.metrics().rows) == (1, 102)
        index.merge()


def test_keys_that_are_none_never_reach_the_log(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        for keys in ([None], [7], "image-1", [b"\xff"]):
            with pytest.raises(TableError):
                index.delete(keys)
            with pytest.raises(TableError):
                index.delete_items(keys)
        index.upsert([b"a", "a"], ["x", "y"], unit(2, seed=1))
        assert (index.metrics().sequence, index.metrics().rows) == (1, 101)
    LiveIndex.open(tmp_path / "index").close()


def test_dictionaries_are_kept_as_their_values(tmp_path: Path) -> None:
    names = ["a", "b"]
    brands = pa.array(["red", "blue"]).dictionary_encode()
    with LiveIndex.create(
        tmp_path / "index", image_ids=names, item_ids=names, vectors=unit(2), attributes={"brand": brands}
    ) as index:
        index.upsert(["c"], ["c"], unit(1, seed=1), {"brand": ["green"]})
        index.upsert(["d"], ["d"], unit(1, seed=2), {"brand": ["blue"]})
    with LiveIndex.open(tmp_path / "index") as index:
        found = index.search(unit(1), 4, [AnyOf("brand", frozenset({"blue", "green"}))])[1][0]
        assert {name for name in found if name} == {"b", "c", "d"}


def test_creating_never_removes_an_index_that_lost_its_pointer(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["a"], ["x"], unit(1, seed=1))
    pointer = (tmp_path / "index" / "CURRENT").read_bytes()
    (tmp_path / "index" / "CURRENT").unlink()
    with pytest.raises(ConfigError, match="whose CURRENT is missing"):
        create(tmp_path / "index")
    (tmp_path / "index" / "CURRENT").write_bytes(pointer)
    with LiveIndex.open(tmp_path / "index") as index:
        assert index.metrics().rows == 101


def test_an_index_has_one_writer(tmp_path: Path) -> None:
    with create(tmp_path / "index"):
        with pytest.raises(LookalikeError, match="another writer has this index open"):
            LiveIndex.open(tmp_path / "index")
        script = "import pathlib, sys; from src.index.live import *; LiveIndex.open(pathlib.Path(sys.argv[1]))"
        other = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "index")], capture_output=True, text=True, check=False
        )
        assert "another writer has this index open" in other.stderr
    LiveIndex.open(tmp_path / "index").close()


def test_a_reader_follows_through_changes_and_merges(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        reader = LiveReader(tmp_path / "index")
        kept = reader.snapshot()
        for step in range(6):
            index.upsert([f"new-{step}", "image-5"], ["x", "x"], unit(2, seed=step))
            index.delete([f"image-{10 + step}"])
            if step % 3 == 1:
                index.merge()
            assert reader.refresh() == index.snapshot().sequence
            theirs, ours = reader.snapshot(), index.snapshot()
            assert theirs.search(unit(9), 30)[0].tolist() == ours.search(unit(9), 30)[0].tolist()
            assert 0 < reader.lag_ms < 60_000
        assert kept.search(unit(9), 1)[0].min() > 0.999


def test_readers_open_and_follow_while_merges_remove_what_they_read(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        follower = LiveReader(tmp_path / "index")
        merging = threading.Thread(target=lambda: [index.merge() for _ in range(15)])
        merging.start()
        opened = 0
        while merging.is_alive() or opened < 5:
            assert LiveReader(tmp_path / "index").snapshot().alive.sum() == 100
            follower.refresh()
            assert follower.snapshot().search(unit(100)[4:5], 1)[1].tolist() == [[4]]
            opened += 1
        merging.join()
        follower.refresh()
        assert follower.snapshot().generation.facts.number == 15


def test_a_reader_forgets_a_write_that_was_taken_back(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        index.upsert(["a"], ["x"], unit(1, seed=1))
        log = segment_path(tmp_path / "index", 0)
        before = log.stat().st_size
        index.upsert(["b"], ["x"], unit(1, seed=2))
        reader = LiveReader(tmp_path / "index")
    # What a failed sync does: the frame that the reader has seen goes, another takes its place.
    os.truncate(log, before)
    with LiveIndex.open(tmp_path / "index") as index:
        index.upsert(["c"], ["x"], unit(1, seed=3))
        reader.refresh()
        assert set(reader.snapshot().image_ids(np.array([100, 101]))) == {"a", "c"}


def test_damage_is_refused_with_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with create(folder) as index:
        for number in range(3):
            index.upsert([f"n-{number}"], ["x"], unit(1, seed=number))
        index.merge()
        for number in range(3):
            index.upsert([f"m-{number}"], ["x"], unit(1, seed=number))
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "LOCK"]
    assert len(paths) == 6
    for path in paths:
        data = path.read_bytes()
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        with pytest.raises(BundleError, match=path.name):
            LiveIndex.open(folder)
        path.unlink()
        with pytest.raises(BundleError):
            LiveIndex.open(folder)
        path.write_bytes(data)
    with LiveIndex.open(folder) as index:
        assert index.metrics().rows == 106


def test_a_segment_that_is_missing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "index"
    with create(folder) as index:
        monkeypatch.setattr(live_index, "merge_snapshot", lambda *_, **__: (_ for _ in ()).throw(GateError("no")))
        for number in range(3):
            index.upsert([f"n-{number}"], ["x"], unit(1, seed=number))
            with pytest.raises(GateError):
                index.merge()
        index.upsert(["last"], ["x"], unit(1))
    os.rename(segment_path(folder, 2), segment_path(folder, 1))
    os.rename(segment_path(folder, 3), segment_path(folder, 2))
    with pytest.raises(BundleError, match="change 3 follows 1"):
        LiveIndex.open(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"], ["x"], np.ones((1, DIM), np.float32)), "norm 4"),
        ((["a"], ["x"], np.full((1, DIM), np.nan, np.float32)), "norm nan"),
        ((["a", "b"], ["x", "y"], unit(1)), "shape"),
        ((["a"], ["x"], unit(1)[:, :5]), "shape"),
        ((["a"], [None], unit(1)), "item_id has 1 nulls"),
        ((["a"], ["x", "y"], unit(1)), "2 values for 1"),
        ((["a"], ["x"], unit(1), {"colour": ["red"]}), "columns colour are not in this index"),
        ((["a"], ["x"], unit(1), {"price": ["dear"]}), "column price must be double"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, arguments: tuple, message: str) -> None:
    with create(tmp_path / "index") as index:
        with pytest.raises(TableError, match=message):
            index.upsert(*arguments)
        assert index.metrics().sequence == 0
        with pytest.raises(LookalikeError, match="query vectors have shape"):
            index.search(unit(1)[:, :3], 1)


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    create(tmp_path / "index").close()
    with pytest.raises(ConfigError, match="holds a live index"):
        create(tmp_path / "index")
    with pytest.raises(LookalikeError, match="no such folder"):
        LiveIndex.open(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="no live index here"):
        LiveIndex.open(tmp_path / "empty")
    with pytest.raises(ConfigError, match="attributes _x"):
        LiveIndex.create(
            tmp_path / "new", image_ids=[], item_ids=[], vectors=unit(0), attributes={"_x": pa.array([], pa.int8())}
        )


def test_settings_that_cannot_work_are_all_named() -> None:
    with pytest.raises(ConfigError, match=r"(?s)layout=tree.*merge_rows=-1.*min_recall=2.*`m=0`"):
        LiveSettings(layout="tree", merge_rows=-1, min_recall=2, m=0)


def test_a_closed_index_takes_nothing_and_its_snapshots_still_search(tmp_path: Path) -> None:
    index = create(tmp_path / "index")
    index.close()
    index.close()
    with pytest.raises(LookalikeError, match="was closed"):
        index.delete(["image-0"])
    with pytest.raises(LookalikeError, match="was closed"):
        index.merge()
    assert first(index, unit(100)[3]) == ["image-3"]


def test_a_change_that_arrives_while_another_goes_into_memory_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[BaseException] = []
    with create(tmp_path / "index") as index:

        def second() -> None:
            try:
                index.upsert(["second"], ["item"], unit(1, seed=3))
                index.delete(["image-5"])
            except LookalikeError as error:
                problems.append(error)

        other = threading.Thread(target=second)
        plain = LiveState.apply

        def slow(state: LiveState, *arguments: object) -> None:
            if not other.ident:
                other.start()
                # Until it is in the queue, or was refused.
                while not index._group._queue and other.is_alive():
                    other.join(0.001)
            plain(state, *arguments)

        monkeypatch.setattr(LiveState, "apply", slow)
        index.upsert(["first"], ["item"], unit(1, seed=2))
        other.join()
        assert problems == []
        assert first(index, unit(1, seed=3)[0]) == ["second"]
        assert "image-5" not in first(index, unit(100)[5], 200)


def test_a_writer_that_was_interrupted_between_log_and_memory_writes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(state: LiveState, *arguments: object) -> None:
        raise KeyboardInterrupt

    with create(tmp_path / "index") as index:
        with monkeypatch.context() as patch:
            patch.setattr(LiveState, "apply", interrupted)
            with pytest.raises(KeyboardInterrupt):
                index.upsert(["first"], ["item"], unit(1, seed=2))
        for refused in (lambda: index.delete(["image-5"]), index.merge):
            with pytest.raises(LookalikeError, match="between log and memory; close it and open it again"):
                refused()
    with LiveIndex.open(tmp_path / "index") as index:
        assert first(index, unit(1, seed=2)[0]) == ["first"]


def test_rows_of_items_and_images_are_those_that_can_be_found(tmp_path):
    vectors = np.eye(6, dtype=np.float32)
    images, items = ["a", "b", "c", "d"], ["x", "y", "x", "z"]
    with LiveIndex.create(tmp_path / "index", image_ids=images, item_ids=items, vectors=vectors[:4]) as index:
        before = index.snapshot()
        index.upsert(["e", "a"], ["x", "z"], vectors[4:])
        index.delete(["b"])
        after = index.snapshot()
        assert before.rows_of_item("x").tolist() == [0, 2]
        assert after.image_ids(after.rows_of_item("x")) == ["c", "e"]
        assert after.image_ids(after.rows_of_item("z")) == ["d", "a"]
        assert not len(after.rows_of_item("y"))
        assert not len(after.rows_of_item("nobody"))
        assert before.row_of_image("b") == 1
        assert after.row_of_image("b") is None
        assert after.row_of_image("a") == 5
        assert after.row_of_image("nobody") is None
        index.merge()
        merged = index.snapshot()
        assert sorted(merged.image_ids(merged.rows_of_item("x"))) == ["c", "e"]
