"""What compiling a filter costs, per row of the catalogue: python -m benchmarks.filter_masks."""

import argparse
import time

import numpy as np
import pyarrow as pa

from src.index.coded_strings import code_strings
from src.index.filters import AnyOf, Between, Condition, FilterColumns

_ROUNDS = 20


def main() -> None:
    """Print a Markdown table: medians of twenty rounds, of a filter's first mask and of the same filter again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    table = _table(rows)
    start = time.process_time()
    for place, name in enumerate(("category", "brand")):
        table = table.set_column(place, name, code_strings(table[name]))
    print(f"{rows:,} rows; coding the two columns of strings, once: {time.process_time() - start:.2f} s\n")
    print("| filter | passes | first, CPU ms | again, CPU ms |\n| --- | ---: | ---: | ---: |")
    for name, conditions in _filters().items():
        first, again = zip(*(_seconds(FilterColumns(table), conditions) for _ in range(_ROUNDS)), strict=True)
        mask = FilterColumns(table).mask(conditions)
        assert mask is not None
        print(f"| {name} | {mask.mean():.1%} | {np.median(first) * 1e3:.2f} | {np.median(again) * 1e3:.2f} |")


def _seconds(columns: FilterColumns, conditions: list[Condition]) -> tuple[float, float]:
    start = time.process_time()
    columns.mask(conditions)
    between = time.process_time()
    columns.mask(conditions)
    return between - start, time.process_time() - between


def _table(rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    categories = pa.array([f"category {number}" for number in range(40)])
    brands = pa.array([f"brand {number}" for number in range(5000)])
    return pa.table(
        {
            "category": categories.take(pa.array(rng.integers(0, 40, rows))),
            # A few brands have most of the rows.
            "brand": brands.take(pa.array(rng.zipf(1.3, rows) % 5000)),
            "price": 100 * rng.random(rows),
            "in_stock": rng.random(rows) < 0.8,
        }
    )


def _filters() -> dict[str, list[Condition]]:
    categories = AnyOf("category", frozenset(f"category {number}" for number in range(10)))
    brands = AnyOf("brand", frozenset(f"brand {number}" for number in range(30)))
    every = AnyOf("brand", frozenset(f"brand {number}" for number in range(5000)))
    price, in_stock = Between("price", 10, 50), AnyOf("in_stock", frozenset({True}))
    return {
        "one category of 40": [AnyOf("category", frozenset({"category 1"}))],
        "ten categories": [categories],
        "30 brands of 5,000": [brands],
        "all 5,000 brands": [every],
        "a range of prices": [price],
        "ten categories, 30 brands, prices, in stock": [categories, brands, price, in_stock],
    }


if __name__ == "__main__":
    main()
