"""The manifest reader."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.catalog.manifest import read_manifest
from src.contracts.errors import CatalogueError


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(text)
    return path


def test_csv_values_stay_the_text_that_they_are(tmp_path: Path) -> None:
    path = csv(tmp_path, 'item_id,image,price\n007,a.jpg,1\n1e3,"b, c.jpg",\nNA,true,x\n')
    table = read_manifest(path, {})
    assert table.to_pydict() == {
        "item_id": ["007", "1e3", "NA"],
        "image": ["a.jpg", "b, c.jpg", "true"],
        "price": ["1", None, "x"],
        "image_id": ["a.jpg", "b, c.jpg", "true"],
    }


def test_columns_are_mapped_and_the_others_kept(tmp_path: Path) -> None:
    path = csv(tmp_path, "label,path,item_id,season\n007,a.jpg,old,summer\n")
    table = read_manifest(path, {"item_id": "label", "image": "path", "image_id": "path"})
    assert table.to_pydict() == {
        "item_id": ["007"],
        "image": ["a.jpg"],
        "image_id": ["a.jpg"],
        "season": ["summer"],
    }


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "list.PARQUET"
    pq.write_table(pa.table({"sku": ["007"], "file": ["a.jpg"], "price": [1.5]}), path)
    table = read_manifest(path, {"item_id": "sku", "image": "file"})
    assert table.to_pydict() == {"item_id": ["007"], "image": ["a.jpg"], "price": [1.5], "image_id": ["a.jpg"]}


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    table = read_manifest(csv(tmp_path, "item_id,image\n"), {})
    assert table.num_rows == 0
    assert table.column_names == ["item_id", "image", "image_id"]


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet", "."])
def test_a_manifest_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogueError, match="cannot be read as CSV or Parquet"):
        read_manifest(tmp_path / name, {})


@pytest.mark.parametrize("data", [b"", b"item_id,image\n1,2,3\n", b"item_id,image\n\xff\xfe,b\n", b"\x00\x01\x02"])
def test_what_is_not_csv_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(CatalogueError):
        read_manifest(tmp_path / "list.csv", {})


def test_what_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_bytes(b"item_id,image\n")
    with pytest.raises(CatalogueError, match="cannot be read"):
        read_manifest(tmp_path / "list.parquet", {})


def test_mapped_columns_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    path = csv(tmp_path, "a,b\n1,2\n")
    with pytest.raises(CatalogueError) as caught:
        read_manifest(path, {"item_id": "label", "image": "path"})
    assert "`data.columns` names `item_id: label`, but the columns are: a, b" in str(caught.value)
    assert "`image: path`" in str(caught.value)


def test_columns_that_are_needed_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        read_manifest(csv(tmp_path, "a,b\n1,2\n"), {})
    assert len(caught.value.problems) == 2
    assert "data.columns.item_id=..." in str(caught.value)
    assert "data.columns.image=..." in str(caught.value)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="column 'image' is repeated"):
        read_manifest(csv(tmp_path, "item_id,image,image\n1,2,3\n"), {})
