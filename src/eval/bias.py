"""Over-indexing: results that share the query's colour or brand more often than an ideal ranking's would.

Some sharing is right: images of the query's item have its colour. Results are therefore compared with an ideal ranking
of the same length: first the query's item, then its product's other items, then its category's, then the rest, each
group in random order. The share of the query's colour among the ideal's first k results is an expectation that follows
from counts alone. Over-indexing is the share among the first k results minus the ideal's. 0 is ideal. Above 0 the
encoder prefers the same colour (or brand) to the right object; below 0 it finds the colour less often than it should.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.eval.embedded import Embedded
from src.eval.intervals import Interval, mean_interval, product_totals
from src.eval.relevance import Codes, column_codes, matches, paired_codes

__all__ = ["OverIndexing", "measure_bias"]

_GROUPS = ("item_id", "parent_id", "category")
"""Columns whose values similar images share, the finest first."""


@dataclass(frozen=True)
class OverIndexing:
    """Over-indexing on one attribute.

    Attributes:
        column: the attribute.
        depth: number of results that count.
        results: share of the results that have the query's value, averaged over queries.
        ideal: the same for the ideal ranking.
        excess: `results` minus `ideal`, with its interval.
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
    confidence: float = 0.95,
) -> list[OverIndexing]:
    """Measure over-indexing on some attributes.

    Args:
        queries: the query images.
        gallery: the gallery images; the query's own image is not one of its candidates.
        rows: int64 of shape (queries, results): gallery rows of the best results, -1 where there is none.
        products: shape (queries,): the product of each query.
        level: `item` where results are items, each with the value of its first image; `image` where they are images.
        columns: attributes; those that queries or gallery lack are left out.
        depth: number of results that count.
        confidence: of the intervals.

    Returns:
        One entry for each attribute. Queries without a value of it, or without results, are left out; a result without
        a value does not share the query's.
    """
    candidates, own = _candidates(queries, gallery, level)
    groups = [codes for codes in (column_codes(queries, gallery, name) for name in _GROUPS) if codes is not None]
    groups = [(of_queries, of_gallery[candidates]) for of_queries, of_gallery in groups]
    found = []
    for column in columns:
        codes = column_codes(queries, gallery, column)
        if codes is None:
            continue
        of_queries, of_gallery = codes
        results = rows[:, :depth]
        number = (results >= 0).sum(axis=1)
        shared = ((results >= 0) & (of_gallery[results] == of_queries[:, None])).sum(axis=1)
        counted = (of_queries >= 0) & (number > 0)
        share = np.where(counted, shared / np.maximum(number, 1), np.nan)
        ideal = np.where(counted, _ideal_shares((of_queries, of_gallery[candidates]), groups, own, number), np.nan)
        if counted.any():
            sums, counts = product_totals((share - ideal)[:, None], products)
            excess = mean_interval(sums[:, 0], counts[:, 0], confidence)
            found.append(OverIndexing(column, depth, float(np.nanmean(share)), float(np.nanmean(ideal)), excess))
    return found


def _candidates(queries: Embedded, gallery: Embedded, level: str) -> tuple[np.ndarray, np.ndarray]:
    """One gallery row for each item (or image) that is ranked, and for each query the position of its own image, or -1.

    An item that has other images as well is not the query's own: the query can find it by those.
    """
    own = pc.index_in(pa.array(queries.image_ids, pa.string()), pa.array(gallery.image_ids, pa.string()))
    own = pc.fill_null(own, -1).to_numpy().astype(np.int64)
    if level == "image":
        return np.arange(len(gallery)), own
    _, first, item, images = np.unique(
        gallery.item_ids.astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    return first, np.where((own >= 0) & (images[item[own]] == 1), item[own], -1)


def _ideal_shares(codes: Codes, groups: Sequence[Codes], own: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Expected share of the query's value in an ideal ranking's first `number` results.

    Args:
        codes: the attribute's values: of the queries, and of the candidates.
        groups: what makes a candidate like the query, the finest first: codes of the queries and of the candidates.
        own: int64 of shape (queries,): the candidate that is the query's own image, -1 where there is none.
        number: int64 of shape (queries,).

    Returns:
        float64 of shape (queries,).
    """
    of_queries, of_candidates = codes
    everything = (np.zeros(len(of_queries), np.int64), np.zeros(len(of_candidates), np.int64))
    left = number.astype(np.float64)
    expected = np.zeros(len(of_queries))
    before, sharing_before = np.zeros(len(of_queries)), np.zeros(len(of_queries))
    with_own = own >= 0
    for group in (*groups, everything):
        size = matches(group).astype(np.float64)
        sharing = matches(paired_codes(group, codes)).astype(np.float64)
        # A query's own image is counted among the candidates, and cannot be found.
        itself = with_own & (group[0] >= 0) & (group[1][own] == group[0])
        size -= itself
        sharing -= itself & (of_queries >= 0) & (of_candidates[own] == of_queries)
        # Groups are nested: what a finer group held has been ranked; a coarser one that lacks it adds nothing.
        fresh, fresh_sharing = np.maximum(size - before, 0.0), np.maximum(sharing - sharing_before, 0.0)
        taken = np.minimum(left, fresh)
        expected += taken * fresh_sharing / np.maximum(fresh, 1.0)
        left -= taken
        before, sharing_before = np.maximum(before, size), np.maximum(sharing_before, sharing)
    return expected / np.maximum(number - left, 1.0)
