"""Dividing a catalogue as the settings say: the column `split`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from src.catalog.roles import roles_by_domain
from src.catalog.split_file import split_by_file
from src.catalog.splits import split_by_count, split_by_product, split_by_time
from src.contracts.errors import CatalogueError, ConfigError
from src.contracts.settings import DataSettings
from src.contracts.settings.splits import parse_date

__all__ = ["divide"]


def divide(table: pa.Table, data: DataSettings) -> pa.Table:
    """Give each row its split.

    Who asks and who is searched stays. Rows that the catalogue's own split column trains on often have neither role;
    those of them that the new split does not train on get theirs by domain.

    Args:
        table: `image_id`, `item_id`, `is_query` and `is_gallery`, none of them null; `parent_id`, `listed_at` and
            `split` where the catalogue has them.
        data: how to divide.

    Returns:
        The table with the column `split`, without nulls.

    Raises:
        ConfigError: what the settings ask for the catalogue cannot give, or nothing is left to train on or to ask.
        CatalogueError: rows that a split by time or by file does not reach.
    """
    if data.split_by == "given":
        if "split" not in table.column_names:
            raise ConfigError("`data.split_by=given`: the catalogue has no split column; set `data.split_by=product`")
        return _with(table, pc.fill_null(table["split"], "train"))
    if data.split_by == "product":
        splits: Sequence[str] = split_by_product(
            _products(table), val_fraction=data.val_fraction, test_fraction=data.test_fraction, seed=data.split_seed
        )
        return _with(_asking(table, splits), splits)
    splits = {"count": _by_count, "time": _by_time, "file": _by_file}[data.split_by](table, data)
    divided = _with(_asking(table, splits), splits)
    _refuse_empty(divided, data)
    return divided


def _asking(table: pa.Table, splits: Sequence[str]) -> pa.Table:
    """Give rows that were for training only, and are not now, their roles by domain."""
    if "split" not in table.column_names:
        return table
    trained = pc.equal(pc.fill_null(table["split"], "train"), "train")
    without = pc.and_not(trained, pc.or_(table["is_query"], table["is_gallery"]))
    moved = pc.and_not(without, pc.is_in(pa.array(splits, pa.string()), pa.array(["train", "none"])))
    for role, values in roles_by_domain(table).items():
        table = table.set_column(table.column_names.index(role), role, pc.if_else(moved, values, table[role]))
    return table


def _by_count(table: pa.Table, data: DataSettings) -> Sequence[str]:
    count = data.count
    try:
        splits = split_by_count(
            _products(table), train=count.train, val=count.val, order=count.order, seed=data.split_seed
        )
    except ValueError as error:
        raise ConfigError(
            f"`data.count.train={count.train}`, `data.count.val={count.val}`: {error}; lower them"
        ) from None
    given = table["split"].to_pylist() if "split" in table.column_names else [None] * len(splits)
    if count.ask == "seen":
        if "split" not in table.column_names:
            raise ConfigError(
                "`data.count.ask=seen`: the catalogue has no split column that sets images aside; set "
                "`data.count.ask=unseen`"
            )
        return [own or "train" if split == "train" else "none" for split, own in zip(splits, given, strict=True)]
    table = _asking(table, splits)
    answers = pc.and_not(table["is_gallery"], table["is_query"]).to_pylist()

    def place(split: str, own: str | None, only_answers: bool) -> str:
        if split == "train":
            # What the catalogue sets aside of a trained product stays unseen, for `ask=seen`.
            return "train" if own in (None, "train", "all") else "none"
        return "held_out" if count.joint_gallery and only_answers else split

    return [place(*row) for row in zip(splits, given, answers, strict=True)]


def _by_time(table: pa.Table, data: DataSettings) -> Sequence[str]:
    if "listed_at" not in table.column_names:
        raise ConfigError(
            "`data.split_by=time`: the catalogue has no column listed_at; name the manifest's with "
            "`data.columns.listed_at=...`"
        )
    splits = split_by_time(
        table["item_id"].to_pylist(),
        table["listed_at"].to_pylist(),
        val_from=parse_date(data.time.val_from),
        test_from=parse_date(data.time.test_from) if data.time.test_from else None,
    )
    undated = [row for row, split in enumerate(splits) if split is None]
    if undated:
        raise CatalogueError(
            data.root,
            [f"row {row + 1}: no image of item {table['item_id'][row].as_py()!r} has listed_at" for row in undated],
        )
    return [split for split in splits if split is not None]


def _by_file(table: pa.Table, data: DataSettings) -> Sequence[str]:
    return split_by_file(table, Path(data.root) / data.split_file, data.splits)


def _refuse_empty(table: pa.Table, data: DataSettings) -> None:
    """What was asked for must be there: images to train on, and queries of each split that has a name."""
    images = Counter(table["split"].to_pylist())
    asked = {
        "count": f"`data.count.train={data.count.train}`, `data.count.val={data.count.val}`",
        "time": f"`data.time.val_from={data.time.val_from}`, `data.time.test_from={data.time.test_from}`",
        "file": f"`data.split_file={data.split_file}`",
    }[data.split_by]
    if not images["train"] + images["all"]:
        raise ConfigError(f"{asked}: no image is left to train on; {_fix(table, data)}")
    queries = Counter(table["split"].filter(table["is_query"]).to_pylist())
    wanted = {"val", "test"} if data.split_by == "time" and data.time.test_from else {"val"}
    if data.split_by != "time" and queries["test"]:
        wanted = set()
    for split in sorted(wanted):
        if not queries[split] + queries["held_out"] + queries["all"]:
            raise ConfigError(f"{asked}: the split {split!r} has no query; {_fix(table, data)}")


def _fix(table: pa.Table, data: DataSettings) -> str:
    if data.split_by == "count":
        return f"divide {len(set(_products(table)))} products otherwise"
    if data.split_by == "time":
        listed = pc.min_max(table["listed_at"]).as_py()
        return f"items were listed from {listed['min']} to {listed['max']}"
    return "give some rows of the file that split"


def _products(table: pa.Table) -> list[str]:
    """The product of each row: its parent where it has one, else its item."""
    products = table["item_id"]
    if "parent_id" in table.column_names:
        products = pc.coalesce(table["parent_id"], products)
    return list(products.to_pylist())


def _with(table: pa.Table, splits: Sequence[str] | pa.ChunkedArray) -> pa.Table:
    values = splits if isinstance(splits, pa.ChunkedArray) else pa.array(splits, pa.string())
    if "split" in table.column_names:
        return table.set_column(table.column_names.index("split"), "split", values)
    return table.append_column("split", values)
