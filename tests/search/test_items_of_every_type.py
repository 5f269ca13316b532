"""A catalogue's further columns of each of Arrow's types, as a bundle holds and a service reads them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.plain_columns import plain_table
from src.contracts.tables import validate_items
from src.index.filter_columns import is_readable
from src.search.items import Items
from src.search.items_file import write_items
from src.search.values import column_values
from tests.arrow_types import every_column

ROWS = 12
COLUMNS = every_column(ROWS)


@pytest.mark.parametrize("name", [name for name in COLUMNS if "union" not in name and "interval" not in name])
def test_a_column_of_each_type_is_kept_and_asked_for_where_it_has_filters(name: str, tmp_path: Path) -> None:
    ids = {"image_id": [f"i{row}" for row in range(ROWS)], "item_id": [f"p{row // 2}" for row in range(ROWS)]}
    read = plain_table(pa.table({**ids, "image": ["a.jpg"] * ROWS, "x": COLUMNS[name]}))
    pq.write_table(validate_items(read), tmp_path / "items.parquet")
    table = validate_items(pq.read_table(tmp_path / "items.parquet"))
    write_items(tmp_path / "items.arrow", table)
    items = Items.open(tmp_path / "items.arrow")
    assert items.rows_of_item("p1").tolist() == [2, 3]
    assert ("x" in items.table.column_names) == is_readable(table["x"].type)
    if "x" in items.table.column_names:
        counted = column_values(items.filters.column("x"))
        known = [value for value in table["x"].to_pylist() if value is not None and value == value]
        assert sum(count for _, count in counted.counts) == len(known)
        assert len(items.described([0, 1, 2])) == 3
