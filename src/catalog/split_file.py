"""Splits read from a file: published protocols, and splits that another program made."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from src.catalog.manifest import read_table
from src.contracts.errors import CatalogueError
from src.contracts.tables import SPLITS

__all__ = ["split_by_file"]


def split_by_file(table: pa.Table, path: Path, splits: Mapping[str, str]) -> list[str]:
    """Look up each row's split in a file.

    Args:
        table: `image_id` and `item_id`.
        path: CSV or Parquet with a column `split`, and `image_id` or, for whole items, `item_id`.
        splits: the file's split value -> ours.

    Returns:
        The split of each row.

    Raises:
        CatalogueError: the file is not readable, lacks a column, has an unknown split or an id with two splits, or does
            not list all rows of the catalogue.
    """
    given = read_table(path)
    keys = [name for name in ("image_id", "item_id") if name in given.column_names]
    if not keys or "split" not in given.column_names:
        has = ", ".join(given.column_names)
        raise CatalogueError(str(path), [f"needs the column split and one of image_id and item_id; it has: {has}"])
    key, problems = keys[0], []
    found: dict[str, str] = {}
    names = zip(given[key].cast(pa.string()).to_pylist(), given["split"].cast(pa.string()).to_pylist(), strict=True)
    for row, (name, value) in enumerate(names):
        split = splits.get(value, value)
        if split not in SPLITS:
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
