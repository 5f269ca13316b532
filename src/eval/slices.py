"""Metrics by category, brand, price and any other column, each with an interval.

A slice is a set of queries. Slices are ordered by the upper end of the interval of their difference to the rest, so
that those which are significantly worse come first: a slice of three queries may have a low value by chance, but its
interval has a high upper end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.contracts.atomic_file import atomic_file
from src.contracts.errors import ConfigError
from src.eval.comparison import holm
from src.eval.intervals import (
    FEWEST,
    Interval,
    cluster_intervals,
    effective_products,
    product_totals,
    score_ends,
    score_p_value,
)
from src.eval.per_query import about_queries
from src.eval.runs import metric_values
from src.eval.slice_columns import default_columns, slice_values

__all__ = ["TINY", "Slice", "print_slices", "slice_queries", "write_slices"]

TINY = 5
"""A slice with fewer products is shown and marked as tiny; it is not tested."""


@dataclass(frozen=True)
class Slice:
    """Queries that have a value in common.

    Attributes:
        column: of the table of queries.
        value: the common value, or a description of the band.
        intervals: one for each metric, the primary one first.
        difference: to the queries with another value of the column, on the primary metric; None where one of the two
            sides has too few products.
        low: lower end of the difference's interval.
        high: upper end.
        p_value: of the hypothesis that slice and rest are equal, with Holm's correction over all slices; None for tiny
            slices.
        tiny: whether it has fewer than `TINY` products.
        worse: whether `p_value` is at most 1 - confidence and `difference` negative.
    """

    column: str
    value: str
    intervals: list[Interval]
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    tiny: bool
    worse: bool


def slice_queries(
    table: pa.Table,
    columns: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
) -> list[Slice]:
    """Measure all slices of some columns, the worst first.

    Args:
        table: of `per_query_table`.
        columns: columns to slice by; None takes `default_columns`.
        confidence: of the intervals.

    Returns:
        Slices by the upper end of their difference to the rest; those without one and tiny ones come last.

    Raises:
        ConfigError: a column is missing, or has too many values.
    """
    metrics = about_queries(table)["metrics"]
    absent = [name for name in columns or () if name not in table.column_names]
    if absent:
        raise ConfigError(f"`slices`: no column {', '.join(absent)}; the queries have {', '.join(table.column_names)}")
    values = metric_values(table, metrics)
    products = np.unique(table["product"].to_numpy(), return_inverse=True)[1]
    found: list[tuple[str, str, list[Interval], tuple[float, float, float, float] | None, bool]] = []
    p_values: dict[str, float | None] = {}
    for column in default_columns(table) if columns is None else columns:
        words, codes = slice_values(table[column], column)
        known = codes >= 0
        for code, word in enumerate(words):
            inside = codes == code
            intervals = cluster_intervals(values[inside], products[inside], confidence=confidence)
            tiny = intervals[0].products < TINY
            rest = _against_rest(values[known, 0], products[known], inside[known], confidence)
            p_values[str(len(found))] = None if tiny or rest is None else rest[3]
            found.append((column, word, intervals, rest, tiny))
    corrected = holm(p_values)
    slices = []
    for number, (column, word, intervals, rest, tiny) in enumerate(found):
        p_value = corrected[str(number)]
        difference, low, high = rest[:3] if rest else (None, None, None)
        worse = p_value is not None and p_value <= 1 - confidence + 1e-12 and difference is not None and difference < 0
        slices.append(Slice(column, word, intervals, difference, low, high, p_value, tiny, worse))
    return sorted(slices, key=lambda each: (each.tiny, float("inf") if each.high is None else each.high))


def write_slices(slices: Iterable[Slice], metrics: Sequence[str], path: Path) -> None:
    """Write `slices.parquet` atomically: one row for each slice, in order, with three columns for each metric."""
    rows = []
    for each in slices:
        row: dict[str, object] = {"column": each.column, "value": each.value}
        row |= {"queries": each.intervals[0].queries, "products": each.intervals[0].products}
        row |= {"tiny": each.tiny, "worse": each.worse}
        row |= {"difference": each.difference, "difference_low": each.low, "difference_high": each.high}
        row["p_value"] = each.p_value
        for name, interval in zip(metrics, each.intervals, strict=True):
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(row)
    numbers = ["difference", "difference_low", "difference_high", "p_value"]
    numbers += [f"{name}{end}" for name in metrics for end in ("", "_low", "_high")]
    kinds = {"column": pa.string(), "value": pa.string(), "queries": pa.int64(), "products": pa.int64()}
    kinds |= {"tiny": pa.bool_(), "worse": pa.bool_()} | dict.fromkeys(numbers, pa.float64())
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(kinds)), temporary)


def print_slices(slices: Sequence[Slice], metric: str, *, shown: int = 8) -> None:
    """Print the worst slices."""
    if not slices:
        return
    table = Table(title=f"worst slices by {metric}", title_justify="left", box=SIMPLE, pad_edge=False)
    for name in ("slice", "queries", "products", metric, "less the rest", ""):
        table.add_column(name, justify="right" if name in ("queries", "products") else "left", no_wrap=name != "slice")
    for each in slices[:shown]:
        first = each.intervals[0]
        own, rest = _words(first.value, first.low, first.high, ""), _words(each.difference, each.low, each.high, "+")
        mark = "tiny" if each.tiny else "worse" if each.worse else ""
        cells = (f"{each.column}: {each.value}", f"{first.queries:,}", f"{first.products:,}", own, rest, mark)
        table.add_row(*map(Text, cells))
    console = Console()
    console.print(table)
    surely = sum(each.worse for each in slices)
    console.print(
        f"{len(slices)} slices, {surely} worse than the rest of their column (Holm's correction over all), "
        f"{sum(each.tiny for each in slices)} tiny (fewer than {TINY} products: not tested)",
        highlight=False,
    )


def _against_rest(
    values: np.ndarray, products: np.ndarray, inside: np.ndarray, confidence: float
) -> tuple[float, float, float, float] | None:
    """Slice minus rest: difference, score interval, p-value; None where one side has too few effective products.

    The variance is that of the difference of two ratios, linearised over products, which may have queries on both
    sides, under the hypothesised difference. The variance of a slice with few products may be small by chance: it is
    taken to be at least that of as many products of the rest.
    """
    sums, counts = zip(
        *(product_totals(np.where(side, values, np.nan)[:, None], products) for side in (inside, ~inside)), strict=True
    )
    sums, counts = np.hstack(sums), np.hstack(counts)
    totals, effective = counts.sum(axis=0), effective_products(counts)
    if totals.min() == 0 or effective.min() < FEWEST:
        return None
    means = sums.sum(axis=0) / totals
    residuals = (sums - means * counts) / totals
    variances = (residuals**2).sum(axis=0)
    # If the difference is too large by e and all queries' average is right, the slice's average is too large by e times
    # the rest's share of the queries, and the rest's too small by e times the slice's.
    shares = counts / totals * (totals[::-1] / totals.sum())
    extra = float(variances[1] * effective[1] / effective[0] - variances[0])
    if extra > 0:
        known = {"freedom": float(effective[1]) - 1, "extra": extra}
        shares[:, 0] = 0.0
    else:
        known = {}
    parts, shares = residuals[:, 0] - residuals[:, 1], shares.sum(axis=1)
    difference = float(means[0] - means[1])
    if float(parts @ parts) + max(extra, 0.0) <= 1e-24:
        return None
    low, high = (difference + end for end in score_ends(parts, shares, confidence, **known))
    return difference, low, high, score_p_value(difference, parts, shares, **known)


def _words(value: float | None, low: float | None, high: float | None, sign: str) -> str:
    if value is None:
        return ""
    return f"{value:{sign}.3f}" + ("" if low is None or high is None else f"\n[{low:{sign}.3f}, {high:{sign}.3f}]")
