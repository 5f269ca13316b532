"""The final scan names what is wrong with a collection."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.milvus import replicas
from benchmarks.milvus.twin import Twins


def test_the_scan_finds_what_is_missing_twice_old_zeroed_or_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(image: str, item: str, version: int, length: float = 1.0) -> dict:
        return {"image_id": image, "item_id": item, "version": version, "vector": np.array([length, 0.0], np.float32)}

    pages = [
        [row("a/1", "a", 0), row("b/1", "b", 4), row("c/1", "c", 2), row("d/1", "d", 7)],
        [row("b/1", "b", 4), row("d/2", "d", 7, length=0.0), row("f/1", "f", 1)],
    ]

    class Index:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> "Index":
            return self

        def __exit__(self, *_: object) -> None: ...

        def scan(self, columns: list[str]) -> list[list[dict]]:
            assert columns == ["item_id", "version", "vector"]
            return pages

    monkeypatch.setattr(replicas, "MilvusIndex", Index)
    twins = Twins(Path(), Path(), "c", ["a", "b", "e"], np.empty((0, 2), np.float32))
    expected = {"b": 4, "c": None, "d": 8, "g": 3}
    found = replicas._scanned("uri", twins, expected)
    assert sorted(problem.partition(",")[0] for problem in found) == [
        "back from the dead: c in version {2}",
        "back from the dead: f",
        "missing: e",
        "missing: g",
        "of another version: d is {7}",
        "twice: b/1",
        "zeroed: d/2",
    ]
    pages[:] = [[row("a/1", "a", 0), row("b/1", "b", 4), row("d/1", "d", 8), row("e/1", "e", 0), row("g/1", "g", 3)]]
    assert replicas._scanned("uri", twins, expected) == []


def test_a_numbered_photo_is_another_file_of_the_same_pixels() -> None:
    from benchmarks.serving.photos import read_photos
    from src.contracts.preprocessing import decode

    (photo,) = read_photos(None, 1)
    other = replicas._numbered(photo, 7)
    assert other != photo
    np.testing.assert_array_equal(decode(other), decode(photo))
