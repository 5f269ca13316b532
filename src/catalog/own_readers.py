"""Readers of catalogues that are not ours: functions which a package registers."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from src.contracts.errors import ConfigError
from src.contracts.settings.data import READERS

__all__ = ["own_reader", "register_reader"]

Reader = Callable[[Path], pa.Table]
R = TypeVar("R", bound=Reader)

_REGISTERED: dict[str, Reader] = {}


def register_reader(reader: R) -> R:
    """Function decorator: `data.reader=NAME` reads the catalogue with this function, whose name is NAME.

    The function gets `data.root` and returns the items table: `item_id` and `image` (a path relative to the root, or a
    URI) at least, `image_id` where it isn't the image's path, `split`, `is_query`, `is_gallery` and `domain` where they
    are known, and any further columns. Values may be text, as in a CSV file. A checkpoint holds the name; `evaluate.py`
    and `export.py` know it where the package was imported, with `trust=[PACKAGE]`.

    Raises:
        ValueError: the name is one of Lookalike's own.
    """
    name = reader.__name__
    if name in READERS:
        raise ValueError(f"{name} is a reader of Lookalike; choose another name")
    _REGISTERED[name] = reader
    return reader


def own_reader(name: str) -> Reader:
    """The registered reader of a name; its tables have an `image_id`.

    Raises:
        ConfigError: no package has registered it, or its table lacks a column.
    """
    if name not in _REGISTERED:
        raise ConfigError(
            f"`data.reader={name}`: must be one of {', '.join((*READERS, *_REGISTERED))}; if a package of yours "
            "registers it, import that with `trust=[PACKAGE]`"
        )

    def read(root: Path) -> pa.Table:
        table = _REGISTERED[name](root)
        absent = [column for column in ("item_id", "image") if column not in table.column_names]
        if absent:
            has = ", ".join(table.column_names)
            raise ConfigError(f"`data.reader={name}`: its table has no column {', '.join(absent)}; it has {has}")
        return table if "image_id" in table.column_names else table.append_column("image_id", table["image"])

    return read
