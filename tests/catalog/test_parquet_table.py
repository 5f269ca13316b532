"""A folder of Parquet files is one table; where its files differ, file and column are named."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.catalog.catalogue import open_catalogue
from src.catalog.manifest import read_manifest
from src.contracts.errors import CatalogueError, TableError
from src.eval.per_query import read_queries
from src.eval.vectors_file import read_vectors
from src.export.trending import write_trending
from src.index.study.source import from_embeddings
from tests.pictures import encode, smooth_picture

ROW = {"item_id": ["a"], "image": ["a.jpg"]}


def folder_of(path: Path, *tables: pa.Table | dict) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path / f"part-{number}.parquet")
    return path


@pytest.mark.parametrize("name", ["items.parquet", "items"])
def test_a_folder_of_files_is_read_as_one(tmp_path: Path, name: str) -> None:
    path = folder_of(tmp_path / name, {**ROW, "price": [1]}, {"price": [2], "image": ["b.jpg"], "item_id": ["b"]})
    (path / "_SUCCESS").write_bytes(b"")
    (path / ".part-0.parquet.crc").write_bytes(b"crc")
    assert read_manifest(path, {}).to_pydict() == {
        "item_id": ["a", "b"],
        "image": ["a.jpg", "b.jpg"],
        "price": [1, 2],
        "image_id": ["a.jpg", "b.jpg"],
    }


def test_partitions_are_columns(tmp_path: Path) -> None:
    for item in "ab":
        folder_of(tmp_path / "items" / f"item_id={item}", {"image": [f"{item}.jpg"]})
    assert read_manifest(tmp_path / "items", {})["item_id"].to_pylist() == ["a", "b"]


ALIKE = {
    "integers": (pa.array([1], pa.int32()), pa.array([2**40]), [1, 2**40]),
    "integer and float": (pa.array([1]), pa.array([1.5]), [1, 1.5]),
    "nothing and text": (pa.nulls(1), pa.array(["x"]), [None, "x"]),
    "text and nothing": (pa.array(["x"]), pa.nulls(1), ["x", None]),
    "text and large text": (pa.array(["x"]), pa.array(["y"], pa.large_string()), ["x", "y"]),
    "text and dictionary": (pa.array(["x"]), pa.array(["y"]).dictionary_encode(), ["x", "y"]),
    "dictionary and text": (pa.array(["y"]).dictionary_encode(), pa.array(["x"]), ["y", "x"]),
}


@pytest.mark.parametrize("name", ALIKE)
def test_types_of_which_one_holds_the_other_are_joined(tmp_path: Path, name: str) -> None:
    *columns, expected = ALIKE[name]
    path = folder_of(tmp_path / "items", *({**ROW, "extra": column} for column in columns))
    assert read_manifest(path, {})["extra"].to_pylist() == expected


UNLIKE = {
    "text and integer": (pa.array(["x"]), pa.array([1])),
    "struct and text": (pa.array([{"bytes": b"x", "path": "y"}]), pa.array(["x"])),
    "list and text": (pa.array([["x"]], pa.list_(pa.field("element", pa.string()))), pa.array(["x"])),
    "time and text": (pa.array([0], pa.timestamp("us")), pa.array(["2026-01-01"])),
    "bool and text": (pa.array([True]), pa.array(["true"])),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", UNLIKE)
def test_unlike_types_name_file_and_column(tmp_path: Path, name: str, turned: bool) -> None:
    first, second = UNLIKE[name][::-1] if turned else UNLIKE[name]
    path = folder_of(tmp_path / "items", {**ROW, "extra": first}, {**ROW, "extra": second}, {**ROW, "extra": second})
    with pytest.raises(CatalogueError) as caught:
        read_manifest(path, {})
    assert caught.value.problems == [
        f"part-{number}.parquet: column 'extra' is {second.type}, but {first.type} in part-0.parquet; "
        "write both as one type"
        for number in (1, 2)
    ]


@pytest.mark.parametrize(("lacking", "having"), [(0, 1), (1, 0)])
def test_a_column_that_one_file_lacks_is_named(tmp_path: Path, lacking: int, having: int) -> None:
    """Arrow fills it with null, or leaves it out, without a word."""
    tables = [ROW, {**ROW, "brand": ["b"]}]
    path = folder_of(tmp_path / "items", *(tables if lacking == 0 else tables[::-1]))
    with pytest.raises(CatalogueError, match=rf"part-{lacking}\.parquet: no column 'brand', which part-{having}"):
        read_manifest(path, {})


def test_a_folder_without_parquet_says_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="holds no Parquet file"):
        read_manifest(folder_of(tmp_path / "items"), {})
    for name in ("notes.txt", "part-1.parquet"):
        path = folder_of(tmp_path / name, ROW)
        (path / name).write_bytes(b"text")
        with pytest.raises(CatalogueError, match=rf"(?s){name}.*[Nn]ot a Parquet|Could not.*{name}"):
            read_manifest(path, {})


def test_a_catalogue_opens_from_such_a_folder(data_settings, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(encode(smooth_picture(4, 5, seed=0), "JPEG"))
    rows = [{"item_id": ["x"], "image": [name], "split": ["train"]} for name in ("a.jpg", "b.jpg")]
    folder_of(tmp_path / "items.parquet", *rows)
    settings = data_settings(reader="manifest", root=str(tmp_path), manifest="items.parquet", split_by="given")
    assert len(open_catalogue(settings).items) == 2


READERS = {
    "items table": lambda path: read_manifest(path, {}),
    "embeddings": read_vectors,
    "queries": read_queries,
    "study's embeddings": lambda path: from_embeddings(path.parent / "study", path, 3),
    "interactions": lambda path: write_trending(type("Catalogue", (), {"root": path.parent})(), path.parent / "t.json"),
}
ARROW_ERRORS = [
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    pa.ArrowKeyError,
    pa.ArrowIndexError,
    pa.ArrowNotImplementedError,
    pa.ArrowCapacityError,
    pa.ArrowSerializationError,
    pa.ArrowMemoryError,
    pa.ArrowException,
    OSError,
]


@pytest.mark.parametrize("error", ARROW_ERRORS)
@pytest.mark.parametrize("name", READERS)
def test_any_error_of_arrow_is_a_clear_one(tmp_path: Path, monkeypatch, name: str, error: type[Exception]) -> None:
    path = tmp_path / "interactions.parquet"
    pq.write_table(pa.table({**ROW, "vector": [[1.0]], "is_query": [True]}), path)

    def fail(*_: object, **__: object) -> None:
        raise error("what Arrow says")

    monkeypatch.setattr(pq, "read_table", fail)
    with pytest.raises((CatalogueError, TableError), match="what Arrow says") as caught:
        READERS[name](path)
    assert str(path) in str(caught.value)
