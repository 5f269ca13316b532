"""Assign rows to splits as the settings say: the column `split`."""

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
    """Assign a split to each row.

    Roles (query, gallery) do not change, with one exception: training rows of the catalogue's own split column often
    have neither role; those that are not training rows in the new split get their roles by domain.

    Args:
        table: `image_id`, `item_id`, `is_query` and `is_gallery`, none of them null; `parent_id`, `listed_at` and
            `split` where the catalogue has them.
        data: the settings of the split.

    Returns:
        The table with the column `split`, without nulls.

    Raises:
        ConfigError: the catalogue lacks what the settings need, or no training image or no query remains.
        CatalogueError: a split by time or by file does not cover all rows.
    """
    if data.split_by == "given":
        if "split" not in table.column_names:
            raise ConfigError("`data.split_by=given`: the catalogue has no split column; set `data.split_by=product`")
        return _with(table, pc.fill_null(table["split"], "train"))
    if data.split_by == "product":
        splits: Sequence[str] = split_by_product(
            _products(table), val_fraction=data.val_fraction, test_fraction=data.test_fraction, seed=data.split_seed
        )
        return _with(_with_roles_by_domain(table, splits), splits)
    splits = {"count": _by_count, "time": _by_time, "file": _by_file}[data.split_by](table, data)
    divided = _with(_with_roles_by_domain(table, splits), splits)
    _refuse_empty(divided, data)
    return divided


def _with_roles_by_domain(table: pa.Table, splits: Sequence[str]) -> pa.Table:
    """Assign roles by domain to rows that were training rows without a role, and no longer are training rows."""
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
    table = _with_roles_by_domain(table, splits)
    gallery_only = pc.and_not(table["is_gallery"], table["is_query"]).to_pylist()

    def split_of(split: str, own: str | None, is_gallery_only: bool) -> str:
        if split == "train":
            # Images that the catalogue sets aside of a training product are not trained on, for `ask=seen`.
            return "train" if own in (None, "train", "all") else "none"
        return "held_out" if count.joint_gallery and is_gallery_only else split

    return [split_of(*row) for row in zip(splits, given, gallery_only, strict=True)]


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
    path, csv = Path(data.root) / data.split_file, data.csv
    return split_by_file(table, path, data.splits, delimiter=csv.delimiter, encoding=csv.encoding)


def _refuse_empty(table: pa.Table, data: DataSettings) -> None:
    """Raise `ConfigError` where there are no training images, or no queries of an evaluation split."""
    images = Counter(table["split"].to_pylist())
    settings = {
        "count": f"`data.count.train={data.count.train}`, `data.count.val={data.count.val}`",
        "time": f"`data.time.val_from={data.time.val_from}`, `data.time.test_from={data.time.test_from}`",
        "file": f"`data.split_file={data.split_file}`",
    }[data.split_by]
    if not images["train"] + images["all"]:
        raise ConfigError(f"{settings}: no training image remains; {_fix(table, data)}")
    queries = Counter(table["split"].filter(table["is_query"]).to_pylist())
    wanted = {"val", "test"} if data.split_by == "time" and data.time.test_from else {"val"}
    if data.split_by != "time" and queries["test"]:
        wanted = set()
    for split in sorted(wanted):
        if not queries[split] + queries["held_out"] + queries["all"]:
            raise ConfigError(f"{settings}: the split {split!r} has no query; {_fix(table, data)}")


def _fix(table: pa.Table, data: DataSettings) -> str:
    if data.split_by == "count":
        return f"divide {len(set(_products(table)))} products otherwise"
    if data.split_by == "time":
        listed = pc.min_max(table["listed_at"]).as_py()
        return f"items were listed from {listed['min']} to {listed['max']}"
    return "assign that split to some rows of the file"


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
