"""A reader: `data=my_data`."""

import json
from pathlib import Path

import pyarrow as pa

from src.catalog.own_readers import register_reader

__all__ = ["json_lines"]


@register_reader
def json_lines(root: Path) -> pa.Table:
    """One JSON object a line in items.jsonl: a product, and the paths of its photos."""
    products = [json.loads(line) for line in (root / "items.jsonl").read_text().splitlines()]
    rows = [
        {"item_id": product["sku"], "image": photo, "category": product["kind"]}
        for product in products
        for photo in product["photos"]
    ]
    return pa.Table.from_pylist(rows)
