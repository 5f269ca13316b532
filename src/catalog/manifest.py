"""Reader for a CSV or Parquet manifest with a column mapping."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from src.catalog.parquet_table import read_parquet
from src.contracts.errors import CatalogueError

__all__ = ["read_manifest", "read_table"]


def read_manifest(path: Path, columns: Mapping[str, str]) -> pa.Table:
    """Read a manifest and rename its columns to ours.

    CSV values stay strings (a label `007` must not become 7); `convert_columns` converts the columns of the schema.

    Args:
        path: `.csv` or `.parquet`, or a folder of Parquet files with the same columns.
        columns: our column name -> the manifest's. Columns that are not named keep their names.

    Returns:
        Table with our column names; `image_id` is the image's path where the manifest has none.

    Raises:
        CatalogueError: the file is missing or not readable, or lacks a mapped column, `item_id` or `image`.
    """
    table = read_table(path)
    absent = [f"{ours}: {theirs}" for ours, theirs in columns.items() if theirs not in table.column_names]
    if absent:
        has = ", ".join(table.column_names)
        raise CatalogueError(
            str(path), [f"`data.columns` names `{name}`, but the columns are: {has}" for name in absent]
        )
    taken = {theirs: ours for ours, theirs in columns.items()}
    renamed = {ours: table[theirs] for ours, theirs in columns.items()}
    renamed |= {name: table[name] for name in table.column_names if name not in taken and name not in renamed}
    problems = [
        f"no column {name!r}; name the manifest's with `data.columns.{name}=...`"
        for name in ("item_id", "image")
        if name not in renamed
    ]
    if problems:
        raise CatalogueError(str(path), problems)
    renamed.setdefault("image_id", renamed["image"])
    return pa.table(renamed)


def read_table(path: Path) -> pa.Table:
    """Read a CSV file, whose values stay strings, a Parquet file or a folder of Parquet files.

    Raises:
        CatalogueError: the file is not readable, or a column name is repeated.
    """
    try:
        table = _read(path)
    except (OSError, pa.ArrowException) as error:
        raise CatalogueError(str(path), [f"cannot be read as CSV or Parquet ({error})"]) from error
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise CatalogueError(str(path), [f"column {name!r} is repeated; rename or remove one" for name in repeated])
    return table


def _read(path: Path) -> pa.Table:
    if path.suffix.lower() == ".parquet" or path.is_dir():
        return read_parquet(path)
    with pacsv.open_csv(path) as reader:
        names = reader.schema.names
    options = pacsv.ConvertOptions(
        column_types={name: pa.string() for name in names}, null_values=[""], strings_can_be_null=True
    )
    return pacsv.read_csv(path, convert_options=options)
