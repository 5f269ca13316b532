"""CSV files of any size, delimiter and encoding, read as Python's own csv module reads them."""

import csv
import gzip
import io
from pathlib import Path

import pytest

from src.catalog.catalogue import open_catalogue
from src.catalog.csv_file import read_csv
from src.catalog.manifest import read_manifest, read_table
from src.contracts.errors import CatalogueError
from src.contracts.settings.csv import CsvSettings

TEXTS = [
    "plain",
    "caf\u00e9",
    'a "quoted" word',
    "two\nlines",
    "p1,imgs/a.jpg,x,y",
    "a;b",
    "a\tb",
    "a|b",
    "1,5",
    "",
    "\r\n",
]


def write(path: Path, rows: list[list[str]], *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def reference(path: Path, delimiter: str, encoding: str) -> list[list[str | None]]:
    """What Python's csv module reads; a field that is empty is None."""
    with path.open(newline="", encoding=encoding) as file:
        return [[field or None for field in row] for row in csv.reader(file, delimiter=delimiter)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_each_delimiter_and_each_encoding_with_a_mark_is_found_out(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    rows = [["item_id", "image", "text"], *([f"p{n}", f"{n}.jpg", text] for n, text in enumerate(TEXTS))]
    path = write(tmp_path / "t.csv", rows, delimiter=delimiter, encoding=encoding)
    table = read_csv(path)
    expected = reference(path, delimiter, encoding)
    assert table.column_names == expected[0]
    assert [list(row.values()) for row in table.to_pylist()] == expected[1:]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1251", "shift_jis", "utf-16-le", "utf-8"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    text = "\u0416" if encoding == "cp1251" else "\u732b" if encoding == "shift_jis" else "caf\u00e9"
    path = write(tmp_path / "t.csv", [["item_id", "image"], [text, "a.jpg"]], encoding=encoding)
    assert read_csv(path, encoding=encoding).to_pydict() == {"item_id": [text], "image": ["a.jpg"]}


@pytest.mark.parametrize("line", ["Sizes: S, M, L, XL", 'quoted: "XL", and "S"', "p9,imgs/x.jpg,x9,fine"])
@pytest.mark.parametrize(("lead", "count"), [(400, 2600), (0, 9000), (3_000_000, 2)])
def test_quoted_line_breaks_are_read_in_a_file_of_any_size(tmp_path: Path, line: str, lead: int, count: int) -> None:
    # Above 1 MiB, one of pyarrow's blocks; the last case has rows that are longer than a block.
    rows = [["item_id", "image", "image_id", "text"]]
    rows += [[f"p{n}", f"{n}.jpg", f"x{n}", "x" * lead + "\n" + line + "\nend" * 30] for n in range(count)]
    path = write(tmp_path / "t.csv", rows)
    assert path.stat().st_size > 2**20
    table = read_manifest(path, {})
    assert table.num_rows == count
    assert [list(row.values()) for row in table.to_pylist()] == rows[1:]


@pytest.mark.parametrize("row", [1, 2, 5000])
@pytest.mark.parametrize("encoding", ["", "utf-8", "ascii"])
def test_another_encoding_than_the_file_s_is_named_with_its_row_and_remedy(
    tmp_path: Path, row: int, encoding: str
) -> None:
    rows = [["item_id", "image"], *([f"p{n}", f'two\nlines "{n}"'] for n in range(1, row)), ["caf\u00e9", "a.jpg"]]
    path = write(tmp_path / "t.csv", rows, encoding="cp1252")
    with pytest.raises(CatalogueError) as caught:
        read_csv(path, encoding=encoding)
    assert f"row {row}: byte 0xe9 is not {(encoding or 'utf-8').upper()}" in str(caught.value)
    assert "`data.csv.encoding=...`, such as cp1252" in str(caught.value)


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("item_id;image\ncaf\u00e9;a.jpg\n".encode()))
    assert read_table(tmp_path / "t.csv.gz").to_pydict() == {"item_id": ["caf\u00e9"], "image": ["a.jpg"]}


def test_another_encoding_of_the_header_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [["item_id", "couleur pr\u00e9f\u00e9r\u00e9e"], ["1", "2"]], encoding="cp1252")
    with pytest.raises(CatalogueError, match="the header: byte 0xe9 is not UTF-8"):
        read_table(path)


def test_rows_of_another_number_of_fields_are_all_listed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,2\n\n1,2,3\n"x\ny",2\n7\n')
    with pytest.raises(CatalogueError) as caught:
        read_csv(path)
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "row 2: 3 fields, but the header has 2",
        "row 4: 1 fields, but the header has 2",
    ]
    assert "delimiter ','" in str(caught.value)


@pytest.mark.parametrize("ending", ["", "\n", "\n2,y\n3,z\n", '\n2,"y"\n3,z', "\n2,y,z\n"])
def test_a_quotation_mark_that_is_never_closed_swallows_no_row(tmp_path: Path, ending: str) -> None:
    (tmp_path / "t.csv").write_text(f'a,b\n0,x\n1,"x{ending}')
    with pytest.raises(CatalogueError, match=r"row [12]: .*quotation mark"):
        read_csv(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2", "a,b\r\n1,2\r\n", "a,b\r1,2\r", "\n\na,b\n\n1,2\n\n", '"a","b"\n"1","2"\n', "sep=,\na,b\n1,2\n"],
)
def test_line_ends_and_empty_lines_make_no_difference(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert read_csv(tmp_path / "t.csv").to_pydict() == {"a": ["1"], "b": ["2"]}
    semicolons = text.replace(",", ";").encode()
    (tmp_path / "t.csv").write_bytes(semicolons)
    assert read_csv(tmp_path / "t.csv").to_pydict() == {"a": ["1"], "b": ["2"]}


def test_a_name_in_quotes_counts_for_no_delimiter(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a;b;c;d",e\n1,2\n')
    assert read_csv(tmp_path / "t.csv").column_names == ["a;b;c;d", "e"]
    (tmp_path / "t.csv").write_text('27" a, 5" b,c\n1,2,3\n')
    assert read_csv(tmp_path / "t.csv").to_pydict() == {'27" a': ["1"], ' 5" b': ["2"], "c": ["3"]}


@pytest.mark.parametrize(
    ("setting", "sign"), [("semicolon", ";"), (";", ";"), ("tab", "\t"), (r"\t", "\t"), ("^", "^")]
)
def test_a_delimiter_is_named_by_its_name_or_its_character(tmp_path: Path, setting: str, sign: str) -> None:
    path = write(tmp_path / "t.csv", [["item_id", "a,b,c"], ["1", "2"]], delimiter=sign)
    assert read_csv(path, delimiter=setting).to_pydict() == {"item_id": ["1"], "a,b,c": ["2"]}


def test_a_missing_column_lists_those_that_are_there_and_the_delimiter_that_seems_meant(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [["sku", "file"], ["1", "2"]], delimiter=";")
    with pytest.raises(CatalogueError, match=r"no column 'item_id'.*the columns are: sku, file\n"):
        read_manifest(path, {})
    for columns in ({}, {"item_id": "sku"}):
        with pytest.raises(CatalogueError, match=r"sku;file \(looks like.*set `data\.csv\.delimiter=semicolon`\)"):
            read_manifest(path, columns, delimiter="comma")


@pytest.mark.parametrize("delimiter", ["", ";"])
@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
@pytest.mark.parametrize("decimal", ["comma", "point"])
def test_a_catalogue_and_its_file_of_splits_are_read_as_the_settings_say(
    data_settings, tmp_path: Path, delimiter: str, encoding: str, decimal: str
) -> None:
    price = "1,50" if decimal == "comma" else "1.50"
    rows = [["image_id", "item_id", "image", "price"]]
    rows += [[f"{n}", f"caf\u00e9-{n}", f"{n}.jpg", price] for n in range(4)]
    for n in range(4):
        (tmp_path / f"{n}.jpg").write_bytes(b"x")
    write(tmp_path / "list.csv", rows, delimiter=";", encoding=encoding)
    splits = [["item_id", "split"], *([f"caf\u00e9-{n}", "val" if n else "train"] for n in range(4))]
    write(tmp_path / "split.csv", splits, delimiter=";", encoding=encoding)
    data = data_settings(
        reader="manifest",
        root=str(tmp_path),
        manifest="list.csv",
        split_by="file",
        split_file="split.csv",
        csv=CsvSettings(delimiter=delimiter, encoding="" if encoding == "utf-16" else encoding, decimal=decimal),
    )
    items = open_catalogue(data).items
    assert items["item_id"].to_pylist() == [f"caf\u00e9-{n}" for n in range(4)]
    assert items["split"].to_pylist() == ["train", "val", "val", "val"]
    assert items["price"].to_pylist() == [1.5] * 4
