"""Interactions from files, with the prices that revenue is made of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from src.contracts.errors import TableError
from src.contracts.tables import INTERACTIONS, validate_interactions

__all__ = ["read_interactions"]


def read_interactions(files: Sequence[Path], items: Path | None = None) -> pa.Table:
    """The interactions of some files, with a column `price`.

    Args:
        files: Parquet files, or folders of them, of the interactions table. A column `price` is the item's.
        items: a Parquet file with `item_id` and `price`, for logs without that column.

    Raises:
        TableError: a file that is no interactions table, or a price that is negative or not finite.
    """
    tables = []
    for file in files:
        try:
            table = ds.dataset(file, format="parquet").to_table()
        except FileNotFoundError as error:
            raise TableError(f"{file}: is not there") from error
        except pa.ArrowInvalid as error:
            raise TableError(f"{file}: is no Parquet file ({error})") from error
        table = validate_interactions(table)
        wanted = [*INTERACTIONS.names, "price", "category"]
        tables.append(table.select([name for name in wanted if name in table.column_names]))
    log = pa.concat_tables(tables, promote_options="permissive")
    if items is not None:
        prices = ds.dataset(items, format="parquet").to_table(columns=["item_id", "price"])
        prices = prices.group_by("item_id").aggregate([("price", "max")]).rename_columns(["item_id", "price"])
        log = log.drop_columns([name for name in ("price",) if name in log.column_names])
        log = log.join(prices, "item_id", join_type="left outer")
    if "price" not in log.column_names:
        log = log.append_column("price", pa.nulls(log.num_rows, pa.float64()))
    prices = log["price"].to_numpy()
    if (~np.isfinite(prices[~np.isnan(prices)])).any() or (prices[~np.isnan(prices)] < 0).any():
        raise TableError("interactions table: `price` must be finite and not negative; mend the log or give --items")
    return log
