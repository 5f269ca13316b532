from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import TableError
from src.monitoring.interactions import read_interactions
from tests.monitoring.experiments.logs import event, table


def test_files_and_prices(tmp_path: Path) -> None:
    bare = table(event("U1", 1)).drop_columns(["price"])
    pq.write_table(bare, tmp_path / "a.parquet")
    pq.write_table(pa.table({"item_id": ["I1", "I1"], "price": [3.0, 3.0]}), tmp_path / "items.parquet")
    assert read_interactions([tmp_path / "a.parquet"])["price"].null_count == 1
    both = read_interactions([tmp_path / "a.parquet", tmp_path / "a.parquet"], tmp_path / "items.parquet")
    assert both["price"].to_pylist() == [3.0, 3.0]
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(TableError, match="no Parquet"):
        read_interactions([tmp_path / "text.parquet"])
    for price in (-1.0, float("inf")):
        pq.write_table(table(event("U1", 1, price=price)), tmp_path / "b.parquet")
        with pytest.raises(TableError, match="price"):
            read_interactions([tmp_path / "b.parquet"])
