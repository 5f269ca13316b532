"""What was told is kept until somebody writes, and not a moment longer."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from serve.store import kept_values
from serve.store.kept_values import KeptValues


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a store?#%41.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE prices (item TEXT, price REAL)")
    return path


@pytest.fixture
def kept(file: Path) -> Iterator[KeptValues[float]]:
    kept: KeptValues[float] = KeptValues(file)
    yield kept
    kept.close()


def write(path: Path) -> None:
    """From another process, as a shop does."""
    program = """if True:
        import sqlite3, sys
        with sqlite3.connect(sys.argv[1]) as connection:
            connection.execute("INSERT INTO prices VALUES ('a', 2)")
    """
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_what_was_told_is_known_and_so_is_what_the_database_does_not_have(kept: KeptValues[float]) -> None:
    asked = kept.known(["a", "b"])
    assert (asked.values, asked.unknown) == ({}, ["a", "b"])
    kept.keep(asked, {"a": 1.5})
    again = kept.known(["b", "c", "a"])
    assert (again.values, again.unknown) == ({"a": 1.5}, ["c"])


def test_nothing_is_known_once_another_process_has_written(kept: KeptValues[float], file: Path) -> None:
    kept.keep(kept.known(["a"]), {"a": 1.5})
    write(file)
    assert kept.known(["a"]).unknown == ["a"]
    kept.keep(kept.known(["a"]), {"a": 2.5})
    assert kept.known(["a"]).values == {"a": 2.5}


def test_an_answer_to_what_was_asked_before_a_write_is_not_kept_after_it(kept: KeptValues[float], file: Path) -> None:
    asked = kept.known(["a"])
    write(file)
    assert kept.known(["b"]).unknown == ["b"]
    kept.keep(asked, {"a": 1.5})
    assert kept.known(["a"]).unknown == ["a"]


def test_nothing_is_kept_of_a_file_that_is_not_there_and_all_of_one_that_came(tmp_path: Path, file: Path) -> None:
    later = tmp_path / "later.sqlite"
    kept: KeptValues[float] = KeptValues(later)
    kept.keep(kept.known(["a"]), {"a": 1.5})
    assert kept.known(["a"]).unknown == ["a"]
    assert not later.exists()
    file.rename(later)
    kept.keep(kept.known(["a"]), {"a": 1.5})
    assert kept.known(["a"]).values == {"a": 1.5}
    kept.close()


def test_a_locked_file_is_not_waited_for_and_nothing_of_it_is_known(kept: KeptValues[float], file: Path) -> None:
    kept.keep(kept.known(["a"]), {"a": 1.5})
    kept.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("INSERT INTO prices VALUES ('a', 2)")
        connection.commit()
        asked = kept.known(["a"])
        assert (asked.unknown, asked.version) == (["a"], None)
        kept.keep(asked, {"a": 1.5})
        assert kept.known(["a"]).unknown == ["a"]
    kept.keep(kept.known(["a"]), {"a": 2.0})
    assert kept.known(["a"]).values == {"a": 2.0}


def test_nothing_is_kept_without_a_file() -> None:
    kept: KeptValues[float] = KeptValues(None)
    kept.keep(kept.known(["a"]), {"a": 1.5})
    assert kept.known(["a"]).unknown == ["a"]


def test_it_does_not_grow_for_ever(kept: KeptValues[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_values, "_MOST", 10)
    for number in range(100):
        kept.keep(kept.known([f"item-{number}"]), {})
    assert sum(not kept.known([f"item-{number}"]).unknown for number in range(100)) <= 10
