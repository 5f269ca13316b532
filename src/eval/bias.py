"""Over-indexing: results that share the query's colour or brand more often than an ideal ranking's would.

Some sharing is right: the same item has the query's colour. The yardstick is therefore an ideal ranking of the same
length: first the query's item, then its product's other items, then its category's, then the rest, each group in random
order. What the ideal's first k share is an expectation that follows from counts alone; over-indexing is the share among
the first k results less that. 0 is as good as ideal; above it the encoder goes by colour (or brand) where it should go
by what the thing is; below it, it finds less of the colour than the right results have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.eval.bootstrap import Interval, effective_products, product_totals, ratio_errors, t_interval
from src.eval.embedded import Embedded

__all__ = ["OverIndexing", "measure_bias"]

_GROUPS = ("item_id", "parent_id", "category")
"""From the finest: what makes two images alike."""


@dataclass(frozen=True)
class OverIndexing:
    """How an attribute pulls results towards it.

    Attributes:
        column: the attribute.
        depth: results looked at.
        results: share of the results that have the query's value, averaged over queries.
        ideal: the same for the ideal ranking.
        excess: results less ideal, with its interval.
    """

    column: str
    depth: int
    results: float
    ideal: float
    excess: Interval


def measure_bias(
    queries: Embedded,
    gallery: Embedded,
    rows: np.ndarray,
    products: np.ndarray,
    *,
    level: str = "item",
    columns: Sequence[str] = ("color", "brand"),
    depth: int = 10,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[OverIndexing]:
    """Measure over-indexing on some attributes.

    Args:
        queries: the images that asked.
        gallery: the images that were searched; the query's own image is not one of its candidates.
        rows: int64 of shape (queries, results): gallery rows of the best results, -1 where there is none.
        products: shape (queries,): the product of each query.
        level: `item` where results are items, each with the value of its first image; `image` where they are images.
        columns: attributes; those that queries or gallery lack are left out.
        depth: results looked at.
        resamples: draws of products.
        confidence: of the intervals.
        seed: of the draws.

    Returns:
        One entry for each attribute. Queries without a value of it, or without results, count for nothing; results
        without one share nothing.
    """
    units, own = _candidates(queries, gallery, level)
    groups = [codes for codes in (_codes(queries, gallery, name) for name in _GROUPS) if codes is not None]
    groups = [(asked, offered[units]) for asked, offered in groups]
    found = []
    for column in columns:
        codes = _codes(queries, gallery, column)
        if codes is None:
            continue
        asked, offered = codes
        results = rows[:, :depth]
        number = (results >= 0).sum(axis=1)
        shared = ((results >= 0) & (offered[results] == asked[:, None])).sum(axis=1)
        counted = (asked >= 0) & (number > 0)
        share = np.where(counted, shared / np.maximum(number, 1), np.nan)
        ideal = np.where(counted, _ideal_shares(asked, offered[units], groups, own, number), np.nan)
        excess = _interval(share - ideal, products, resamples=resamples, confidence=confidence, seed=seed)
        if counted.any():
            found.append(OverIndexing(column, depth, float(np.nanmean(share)), float(np.nanmean(ideal)), excess))
    return found


def _candidates(queries: Embedded, gallery: Embedded, level: str) -> tuple[np.ndarray, np.ndarray]:
    """Gallery rows that stand for what is ranked, and for each query which of them is its own image, or -1.

    An item with other images than the query's own can be found by those.
    """
    own = pc.index_in(pa.array(queries.image_ids, pa.string()), pa.array(gallery.image_ids, pa.string()))
    own = pc.fill_null(own, -1).to_numpy().astype(np.int64)
    if level == "image":
        return np.arange(len(gallery)), own
    _, first, unit, images = np.unique(
        gallery.item_ids.astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    return first, np.where((own >= 0) & (images[unit[own]] == 1), unit[own], -1)


def _ideal_shares(
    asked: np.ndarray,
    offered: np.ndarray,
    groups: Sequence[tuple[np.ndarray, np.ndarray]],
    own: np.ndarray,
    number: np.ndarray,
) -> np.ndarray:
    """Expected share of the query's value in an ideal ranking's first `number` results, float64 of shape (queries,)."""
    everything = (np.zeros(len(asked), np.int64), np.zeros(len(offered), np.int64))
    left = number.astype(np.float64)
    expected = np.zeros(len(asked))
    before, sharing_before = np.zeros(len(asked)), np.zeros(len(asked))
    with_own = own >= 0
    for group, group_offered in (*groups, everything):
        size = _count(group, group_offered)
        sharing = _count(_pair(group, asked), _pair(group_offered, offered))
        # A query's own image is among the candidates' counts, and is no candidate.
        itself = with_own & (group >= 0) & (group_offered[own] == group)
        size -= itself
        sharing -= itself & (asked >= 0) & (offered[own] == asked)
        # Nested: what a finer group held has been ranked; a coarser one that lacks it adds nothing.
        fresh, fresh_sharing = np.maximum(size - before, 0.0), np.maximum(sharing - sharing_before, 0.0)
        taken = np.minimum(left, fresh)
        expected += taken * fresh_sharing / np.maximum(fresh, 1.0)
        left -= taken
        before, sharing_before = np.maximum(before, size), np.maximum(sharing_before, sharing)
    return expected / np.maximum(number - left, 1.0)


def _pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One code for two; -1 where one of them is missing."""
    return np.where((first >= 0) & (second >= 0), first * (1 << 31) + second, -1)


def _count(asked: np.ndarray, offered: np.ndarray) -> np.ndarray:
    """How many of `offered` are equal to each of `asked`, float64; 0 where it is missing."""
    values, counts = np.unique(offered, return_counts=True)
    places = np.minimum(np.searchsorted(values, asked), len(values) - 1)
    return np.where((asked >= 0) & (values[places] == asked), counts[places], 0).astype(np.float64)


def _codes(queries: Embedded, gallery: Embedded, column: str) -> tuple[np.ndarray, np.ndarray] | None:
    """A column's values as integers, equal where the values are; missing ones -1. None where one side lacks it."""
    if column == "item_id":
        parts = [pa.array(part.item_ids, pa.string()) for part in (queries, gallery)]
    else:
        asked, offered = queries.attribute(column), gallery.attribute(column)
        if asked is None or offered is None:
            return None
        parts = [pc.cast(part, pa.string()).combine_chunks() for part in (asked, offered)]
    encoded = pa.concat_arrays(parts).dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes[: len(queries)], codes[len(queries) :]


def _interval(values: np.ndarray, products: np.ndarray, *, resamples: int, confidence: float, seed: int) -> Interval:
    """Student's interval of an average between -1 and 1, products resampled."""
    sums, counts = product_totals(values[:, None], products)
    total, behind = int(counts.sum()), int((counts > 0).sum())
    if not total:
        return Interval(None, None, None, 0, 0, "no query has a value")
    value = float(sums.sum() / total)
    error = float(ratio_errors(sums, counts, resamples=resamples, seed=seed)[0]) if behind > 1 else 0.0
    if error == 0:
        reason = "all queries are of one product" if behind == 1 else "all products have the same value"
        return Interval(value, None, None, total, behind, reason)
    low, high = t_interval(value, error, float(effective_products(counts)[0]) - 1, confidence)
    return Interval(value, low, high, total, behind)
