"""Reader for a CSV or Parquet manifest with a column mapping."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from src.catalog.box_column import read_boxes, write_box
from src.catalog.csv_file import read_csv
from src.catalog.image_column import read_image_column
from src.catalog.parquet_table import read_parquet
from src.contracts.errors import CatalogueError
from src.contracts.plain_columns import plain_table
from src.contracts.settings.csv import DELIMITERS

__all__ = ["describe_columns", "map_columns", "read_manifest", "read_table"]


def read_manifest(
    path: Path,
    columns: Mapping[str, str],
    *,
    delimiter: str = "",
    encoding: str = "",
    decimal: str = ".",
    images: Path = Path("data/pixels/images"),
) -> pa.Table:
    """Read a manifest and rename its columns to ours.

    CSV values stay strings (a label `007` must not become 7); `convert_columns` converts the columns of the schema.

    Args:
        path: `.csv` or `.parquet`, or a folder of Parquet files with the same columns.
        columns: our column name -> the manifest's. Columns that are not named keep their names.
        delimiter: of a CSV file; see `read_csv`.
        encoding: likewise.
        decimal: the decimal sign of boxes that are text.
        images: folder for the images that a Parquet file holds itself; see `read_image_column`.

    Returns:
        Table with our column names; `image_id` is the image's path, and its box, where the manifest has none.

    Raises:
        CatalogueError: the file is missing or not readable, or lacks a mapped column, `item_id` or `image`.
    """
    table = read_table(path, delimiter=delimiter, encoding=encoding)
    renamed = map_columns(str(path), table, columns)
    try:
        images_of_rows, ids = read_image_column(renamed["image"], images)
    except (ValueError, OSError) as error:
        raise CatalogueError(str(path), [f"column 'image' {error}"]) from error
    named = renamed.set_column(renamed.column_names.index("image"), "image", images_of_rows)
    return (
        named
        if "image_id" in named.column_names
        else named.append_column("image_id", _with_boxes(path, ids, named, decimal))
    )


def map_columns(source: str, table: pa.Table, columns: Mapping[str, str]) -> pa.Table:
    """Rename columns to ours; those that are not named keep their names.

    Args:
        source: what the table was read from, for messages.
        table: the catalogue's.
        columns: our column name -> the catalogue's.

    Raises:
        CatalogueError: a column is named that the table lacks, or it has no `item_id` or `image`.
    """
    absent = [f"{ours}: {theirs}" for ours, theirs in columns.items() if theirs not in table.column_names]
    if absent:
        has = describe_columns(table)
        raise CatalogueError(source, [f"`data.columns` names `{name}`, but the columns are: {has}" for name in absent])
    taken = {theirs: ours for ours, theirs in columns.items()}
    renamed = {ours: table[theirs] for ours, theirs in columns.items()}
    renamed |= {name: table[name] for name in table.column_names if name not in taken and name not in renamed}
    problems = [
        f"no column {name!r}; name the manifest's with `data.columns.{name}=...`; the columns are: "
        f"{describe_columns(table)}"
        for name in ("item_id", "image")
        if name not in renamed
    ]
    if problems:
        raise CatalogueError(source, problems)
    return pa.table(renamed)


def _with_boxes(path: Path, ids: pa.ChunkedArray, table: pa.Table, decimal: str) -> pa.ChunkedArray:
    """Ids of images, with the box where there is one: several boxes of one picture are several images."""
    try:
        # What cannot be read is listed when the columns are converted.
        boxes, _ = read_boxes(table, decimal=decimal)
    except ValueError as error:
        raise CatalogueError(str(path), [str(error)]) from error
    if boxes is None:
        return ids
    names = [
        f"{image}#{write_box(box)}" if image and box else image
        for image, box in zip(ids.to_pylist(), boxes.to_pylist(), strict=True)
    ]
    return pa.chunked_array([names], pa.string())


def read_table(path: Path, *, delimiter: str = "", encoding: str = "") -> pa.Table:
    """Read a CSV file, whose values stay strings, a Parquet file or a folder of Parquet files.

    Args:
        path: `.parquet`; any other name is read as CSV.
        delimiter: of a CSV file; see `read_csv`.
        encoding: likewise.

    Raises:
        CatalogueError: the file is not readable, or a column name is repeated.
    """
    try:
        if path.suffix.lower() == ".parquet" or path.is_dir():
            table = plain_table(read_parquet(path))
        else:
            table = read_csv(path, delimiter=delimiter, encoding=encoding)
    except (OSError, pa.ArrowException) as error:
        raise CatalogueError(str(path), [f"cannot be read as CSV or Parquet ({error})"]) from error
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise CatalogueError(str(path), [f"column {name!r} is repeated; rename or remove one" for name in repeated])
    return table


def describe_columns(table: pa.Table) -> str:
    """The names of a table's columns, for messages; and the delimiter that one name alone seems to hold."""
    names = ", ".join(table.column_names)
    held = [name for name, sign in DELIMITERS.items() if sign in names] if table.num_columns == 1 else []
    return f"{names} (looks like another delimiter: set `data.csv.delimiter={held[0]}`)" if held else names
