"""Splits read from a file: published protocols, and splits that another program made."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from src.catalog.manifest import describe_columns, read_table
from src.contracts.errors import CatalogueError
from src.contracts.tables import SPLITS
from src.contracts.text_columns import text_column

__all__ = ["split_by_file"]


def split_by_file(
    table: pa.Table, path: Path, splits: Mapping[str, str], *, delimiter: str = "", encoding: str = ""
) -> list[str]:
    """Look up each row's split in a file.

    Args:
        table: `image_id` and `item_id`.
        path: CSV or Parquet with a column `split`, and `image_id` or, for whole items, `item_id`.
        splits: the file's split value -> ours.
        delimiter: of a CSV file; see `read_csv`.
        encoding: likewise.

    Returns:
        The split of each row.

    Raises:
        CatalogueError: the file is not readable, lacks a column, has an unknown split or an id with two splits, or does
            not list all rows of the catalogue.
    """
    given = read_table(path, delimiter=delimiter, encoding=encoding)
    keys = [name for name in ("image_id", "item_id") if name in given.column_names]
    if not keys or "split" not in given.column_names:
        has = describe_columns(given)
        raise CatalogueError(str(path), [f"needs the column split and one of image_id and item_id; it has: {has}"])
    key, problems = keys[0], []
    found: dict[str, str] = {}
    try:
        (ids, bad), (values, _) = text_column(given[key], is_id=True), text_column(given["split"], is_id=False)
    except ValueError as error:
        raise CatalogueError(str(path), [f"column {key!r} or 'split' {error}"]) from error
    problems += [f"row {row + 1}: {key}={what}" for row, what in bad]
    for row, (name, value) in enumerate(zip(ids.to_pylist(), values.to_pylist(), strict=True)):
        split = splits.get(value, value)
        if name is None:
            problems.append(f"row {row + 1}: {key} is empty")
        elif split not in SPLITS:
            problems.append(f"row {row + 1}: split={value!r}: none of {', '.join(SPLITS)}; map it with `data.splits`")
        elif found.setdefault(name, split) != split:
            problems.append(f"row {row + 1}: {key}={name!r} is in {found[name]!r} and in {split!r}")
    if not problems:
        problems = [
            f"row {row + 1} of the catalogue: {key}={name!r} is not in the file; add it (`none` leaves it out)"
            for row, name in enumerate(table[key].to_pylist())
            if name not in found
        ]
    if problems:
        raise CatalogueError(str(path), problems)
    return [found[name] for name in table[key].to_pylist()]
