"""The journal: what it keeps, who may write it, and what a crash, a full or a damaged disk does to it."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.contracts.errors import ConfigError, JournalError
from src.index.journal import Change, Journal, Picture, picture_id


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(4).astype(np.float32)


def pictures(item_id: str, *seeds: int, size: int = 100) -> list[Picture]:
    contents = [np.random.default_rng(seed).bytes(size) for seed in seeds]
    return [
        Picture(picture_id(item_id, data), data, b"thumbnail %d" % seed, vector(seed))
        for data, seed in zip(contents, seeds, strict=True)
    ]


def kept(journal: Journal, item_id: str, made_by: str = "encoder") -> list[tuple[str, bytes | None, bytes | None]]:
    return [(name, journal.picture(name), journal.thumbnail(name)) for name in journal.vectors(item_id, made_by)]


def expected(some: list[Picture]) -> list[tuple[str, bytes, bytes]]:
    return [(one.image_id, one.data, one.thumbnail) for one in some]


operations = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 4), st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("patch"), st.integers(0, 4), st.sampled_from(["price", "in_stock"])),
    st.tuples(st.just("delete"), st.integers(0, 4), st.none()),
    st.tuples(st.just("reopen"), st.none(), st.none()),
)


@settings(max_examples=40, deadline=None)
@given(sequence=st.lists(operations, max_size=20))
def test_it_keeps_the_last_change_of_each_item(tmp_path_factory: pytest.TempPathFactory, sequence: list) -> None:
    folder = tmp_path_factory.mktemp("state")
    journal = Journal(folder)
    model: dict[str, tuple[Change, list[Picture]]] = {}
    last = 0
    for kind, item, values in sequence:
        name = f"item/{item} ö"
        known, shown = model.get(name, (Change(0, name), []))
        if kind == "reopen":
            journal.close()
            journal = Journal(folder)
            assert journal.last_change == last
            continue
        last += 1
        if kind == "put":
            shown = pictures(name, *values)
            assert journal.put(name, {"price": 1.5}, shown, made_by="encoder") == last
            known = Change(last, name, "put", last, {"price": 1.5})
        elif kind == "patch":
            assert journal.patch(name, {values: None}) == last
            known = Change(
                last, name, known.kind, known.whole, known.attributes, {**known.patched, values: (last, None)}
            )
        else:
            assert journal.delete(name) == last
            known, shown = Change(last, name, "delete", last), []
        model[name] = known, shown
    found = list(journal.changes(0))
    assert found == sorted((known for known, _ in model.values()), key=lambda change: change.number)
    for name, (_, shown) in model.items():
        assert kept(journal, name) == expected(shown)
        assert [None if v is None else v.tolist() for v in journal.vectors(name, "encoder").values()] == [
            one.vector.tolist() for one in shown
        ]
        assert [*journal.vectors(name, "another").values()] == [None] * len(shown)
    assert [change.number for change in journal.changes(last // 2)] == [
        n for n in sorted(c.number for c in found) if n > last // 2
    ]
    journal.close()


def test_numbers_follow_the_journal_whatever_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    monkeypatch.setattr(time, "time_ns", lambda: 10**9 * next(clock))
    numbers = []
    for _ in range(3):
        with closing(Journal(tmp_path)) as journal:
            numbers += [
                journal.put("a", {}, pictures("a", 1), made_by="e"),
                journal.delete("a"),
                journal.patch("b", {}),
            ]
    assert numbers == list(range(1, 10))
    with closing(Journal(tmp_path)) as journal:
        assert [(change.number, change.item_id) for change in journal.changes(0)] == [(8, "a"), (9, "b")]


def test_more_changes_than_a_page_are_read_in_their_order(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal._writing.execute("PRAGMA synchronous = OFF")
        for number in range(2_500):
            journal.patch(f"item-{number % 2_100}", {"price": float(number)})
        found = list(journal.changes(450))
    assert [change.number for change in found] == list(range(451, 2_501))
    assert found[-1].item_id == "item-399"


def test_what_cannot_be_written_whole_changes_nothing(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        some = pictures("a", 1, 2)
        journal.put("a", {"price": 1.0}, some, made_by="e")
        with pytest.raises(TypeError):
            journal.put("a", {"price": object()}, pictures("a", 3), made_by="e")
        with pytest.raises(TypeError):
            journal.patch("a", {"price": object()})
        assert journal.last_change == 1
        assert kept(journal, "a") == expected(some)
        assert journal.delete("a") == 2


def test_the_embedding_of_the_last_encoder_is_kept(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        some = pictures("a", 1, 2)
        journal.put("a", {}, some, made_by="one")
        journal.keep_embeddings("two", {some[1].image_id: vector(9), "gone": vector(8)})
        found = journal.vectors("a", "one")
        assert [found[some[0].image_id] is None, found[some[1].image_id] is None] == [False, True]
        np.testing.assert_array_equal(journal.vectors("a", "two")[some[1].image_id], vector(9))
        with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            journal._writing.execute("PRAGMA busy_timeout = 0")
            journal.keep_embeddings("three", {some[0].image_id: vector(7)})  # Kept or not: nothing is raised.
            other.execute("ROLLBACK")
        assert [*journal.vectors("a", "three").values()] == [None, None]
        journal.delete("a")
        assert journal._reading.execute("SELECT count(*) FROM embeddings").fetchone() == (0,)


def test_where_a_bundle_begins_is_kept_for_each_bundle(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        for price in (1.0, 2.0):
            journal.patch("a", {"price": price})
        assert journal.changes_after("one", None) == 0
        assert journal.changes_after("one", 2) == 2
        assert journal.changes_after("two", 1) == 1
    with closing(Journal(tmp_path)) as journal:
        assert [journal.changes_after(name, None) for name in ("one", "two", "three")] == [2, 1, 0]
        assert journal.changes_after("one", 0) == 0
        assert journal.changes_after("one", None) == 0
        for wrong in (3, -1):
            with pytest.raises(ConfigError, match=f"changes_after={wrong}: the last change is 2"):
                journal.changes_after("one", wrong)


HOLDS = """
import sys
from pathlib import Path
from src.index.journal import Journal
journal = Journal(Path(sys.argv[1]))
print(journal.patch("a", {"price": 1.0}), flush=True)
sys.stdin.read()
"""


def started(folder: Path, repository: Path, script: str = HOLDS, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder), *more],
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_folder_has_one_process_and_is_free_after_its_death(tmp_path: Path, repository: Path) -> None:
    with started(tmp_path / "state", repository) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        with pytest.raises(JournalError, match="another service has it open; stop that one"):
            Journal(tmp_path / "state")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with closing(Journal(tmp_path / "state")) as journal:
            assert journal.last_change == 1
            with pytest.raises(JournalError, match="another service"):
                Journal(tmp_path / "state")


def test_a_removed_wal_file_is_noticed(tmp_path: Path, repository: Path) -> None:
    with started(tmp_path, repository) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
    assert (tmp_path / "journal.sqlite-wal").stat().st_size > 0
    for name in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (tmp_path / name).unlink()
    for _ in range(2):
        with pytest.raises(JournalError, match=r"change 1 was acknowledged, .* ends at 0: its -wal file was removed"):
            Journal(tmp_path)
    (tmp_path / "lock").unlink()
    with closing(Journal(tmp_path)) as journal:
        assert journal.last_change == 0


def test_an_older_copy_is_noticed_and_a_newer_one_is_not(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "state")) as journal:
        journal.delete("a")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    with closing(Journal(tmp_path / "state")) as journal:
        journal.delete("b")
    shutil.copy(tmp_path / "state" / "journal.sqlite", tmp_path / "newer.sqlite")
    shutil.copy(tmp_path / "copy" / "journal.sqlite", tmp_path / "state" / "journal.sqlite")
    with pytest.raises(JournalError, match="change 2 was acknowledged, but the journal ends at 1"):
        Journal(tmp_path / "state")
    shutil.copy(tmp_path / "newer.sqlite", tmp_path / "copy" / "journal.sqlite")
    with closing(Journal(tmp_path / "copy")) as journal:
        assert journal.last_change == 2


@pytest.mark.parametrize("note", [b"", b"\0" * 20, b"0000000000000000000x"])
def test_a_note_that_a_power_cut_took_stops_nobody(tmp_path: Path, note: bytes) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.delete("a")
    (tmp_path / "lock").write_bytes(note)
    with closing(Journal(tmp_path)) as journal:
        assert journal.last_change == 1
    assert int((tmp_path / "lock").read_bytes()) == 1


def test_a_full_file_refuses_changes_and_takes_them_when_there_is_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    some = pictures("a", 1)
    journal.put("a", {"price": 1.0}, some, made_by="e")
    pages = journal._writing.execute("PRAGMA page_count").fetchone()[0]
    journal._writing.execute(f"PRAGMA max_page_count = {pages + 2}")
    for item_id in ("a", "b"):
        with pytest.raises(JournalError, match="full; make room on its disk, and send the change again"):
            journal.put(item_id, {}, pictures(item_id, 2, size=100_000), made_by="e")
    assert journal.last_change == 1
    assert kept(journal, "a") == expected(some)
    assert journal.delete("c") == 2
    journal._writing.execute("PRAGMA max_page_count = 100000")
    assert journal.put("b", {}, pictures("b", 2, size=100_000), made_by="e") == 3
    journal.close()
    with closing(Journal(tmp_path)) as journal:
        assert kept(journal, "a") == expected(some)
        assert kept(journal, "b") == expected(pictures("b", 2, size=100_000))


FILLS = """
import json, resource, sys
from pathlib import Path
from src.index.journal import Journal, Picture, picture_id
from src.contracts.errors import JournalError
import numpy as np
def put(item_id, size):
    data = bytes([len(item_id)]) * size
    picture = Picture(picture_id(item_id, data), data, b"t", np.zeros(4, np.float32))
    return journal.put(item_id, {"price": 1.0}, [picture], made_by="e")
journal = Journal(Path(sys.argv[1]))
numbers = [put("first", 1000)]
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
problems = []
for number in range(100):
    try:
        numbers.append(put(f"item-{number:0{number}}", 20_000))
    except JournalError as error:
        problems.append(str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
numbers.append(put("last", 300_000))
print(json.dumps([numbers, problems]))
"""


@pytest.mark.parametrize("limit", [50_000, 333_333, 1_000_000])
def test_a_full_disk_loses_nothing_and_breaks_nothing(tmp_path: Path, repository: Path, limit: int) -> None:
    with started(tmp_path, repository, FILLS, str(limit)) as process:
        assert process.stdout is not None
        numbers, problems = json.loads(process.stdout.read())
    assert problems
    assert all("disk" in problem and "room" in problem for problem in problems)
    assert numbers == list(range(1, len(numbers) + 1))
    with closing(Journal(tmp_path)) as journal:
        found = list(journal.changes(0))
        assert [change.number for change in found] == numbers
        for change in found:
            (image_id,) = journal.vectors(change.item_id, "e")
            data = journal.picture(image_id)
            assert data is not None
            assert picture_id(change.item_id, data) == image_id
            assert change.attributes == {"price": 1.0}


def test_a_disk_that_becomes_read_only_refuses_changes(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.delete("a")
        journal._writing.execute("PRAGMA query_only = ON")
        for change in (lambda: journal.delete("a"), lambda: journal.put("b", {}, pictures("b", 1), made_by="e")):
            with pytest.raises(JournalError, match=r"readonly.*local disk that can be written"):
                change()
        assert [change.item_id for change in journal.changes(0)] == ["a"]


@pytest.mark.parametrize("name", ["/proc/state", "file", "file/state"])
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="give a folder on a writable local disk"):
        Journal(tmp_path / name)


def test_a_journal_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as other:
        other.execute("CREATE TABLE items (item_id TEXT PRIMARY KEY, change INTEGER)")
        other.commit()
    for _ in range(2):
        with pytest.raises(JournalError, match="format 0, not 2, of another version; give another folder"):
            Journal(tmp_path)


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal"])
def test_no_damage_passes_for_a_change(tmp_path: Path, repository: Path, name: str) -> None:
    """Bytes are turned, pages zeroed, ends cut: all is read as it was written, or not at all."""
    folder = tmp_path / "state"
    with closing(Journal(folder)) as journal:
        for number in range(12):
            journal.put(f"i{number}", {"price": float(number)}, pictures(f"i{number}", number, size=9_000), made_by="e")
            journal.patch(f"p{number}", {"price": float(number)})
        states = {change.item_id: change for change in journal.changes(0)}
        if name.endswith("-wal"):
            shutil.copytree(folder, tmp_path / "crashed")
    if name.endswith("-wal"):
        folder = tmp_path / "crashed"
    whole = (folder / name).read_bytes()
    told = 0
    rng = np.random.default_rng(3)
    for case in range(150):
        data = bytearray(whole)
        place = int(rng.integers(len(data)))
        if case % 3 == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif case % 3 == 1:
            data[place - place % 4096 : place - place % 4096 + 4096] = bytes(4096)
        else:
            del data[place:]
        damaged = tmp_path / f"case{case}"
        shutil.copytree(folder, damaged)
        (damaged / name).write_bytes(data)
        try:
            with closing(Journal(damaged)) as journal:
                found = list(journal.changes(0))
                # One bit of an id may turn one item into none; a page or an end that is gone is always noticed.
                assert case % 3 == 0 or len(found) == len(states)
                for change in found:
                    assert change == states[change.item_id]
                    for image_id in journal.vectors(change.item_id, "e"):
                        seed = int(change.item_id[1:])
                        assert journal.picture(image_id) == pictures(change.item_id, seed, size=9_000)[0].data
        except JournalError:
            told += 1
        shutil.rmtree(damaged)
    assert told > 20
