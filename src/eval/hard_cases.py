"""Where an encoder fails: its worst queries, and the pairs of items that it confuses."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.atomic_file import write_atomically
from src.eval.listed_results import ListedResults, read_listed_results
from src.eval.suspected_labels import suspected_labels

__all__ = ["ConfusedPair", "WorstQuery", "confused_pairs", "hard_cases", "worst_queries", "write_hard_cases"]


@dataclass(frozen=True)
class WorstQuery:
    """A query with a bad result.

    Attributes:
        image_id: the query.
        item_id: its item.
        first_rank: rank of the first positive.
        map_at_r: its mAP@R.
        found_image_id: the best wrong result, or None where there is none.
        found_item_id: that result's item.
        score: that result's score.
        margin: that result's score minus the best positive's; negative where the positive ranks first.
        at_least: whether no positive was listed, so that `margin` is a lower bound.
    """

    image_id: str
    item_id: str
    first_rank: int
    map_at_r: float
    found_image_id: str | None
    found_item_id: str | None
    score: float | None
    margin: float | None
    at_least: bool


@dataclass(frozen=True)
class ConfusedPair:
    """Two items, and how often a query of one finds the other before its own.

    Attributes:
        items: the two, by name.
        count: such queries, of both items.
        by_item: such queries of each of the two, in their order.
        queries: queries with a positive of each of the two, in their order.
        rate: `count` over all queries of the two.
        same_product: the two are variants of one product.
        query_image_id: of these queries, the one whose wrong result has the highest score.
        found_image_id: that result.
        score: its score.
    """

    items: tuple[str, str]
    count: int
    by_item: tuple[int, int]
    queries: tuple[int, int]
    rate: float
    same_product: bool
    query_image_id: str
    found_image_id: str
    score: float


def worst_queries(table: pa.Table, count: int) -> list[WorstQuery]:
    """The queries with the lowest mAP@R; ties by the deepest first positive, then by the largest margin.

    Args:
        table: of `src.eval.per_query`.
        count: how many, at most.
    """
    results = read_listed_results(table)
    precision, reciprocal = (table[name].to_numpy(zero_copy_only=False).astype(float) for name in ("map@r", "mrr"))
    first = results.first_misses()
    margins = np.full(len(first), -np.inf)
    margins[first >= 0] = results.scores[first[first >= 0]] - results.hit_score[first >= 0]
    order = np.lexsort((-margins, reciprocal, precision))
    chosen = order[results.answerable[order]][:count]
    return [
        WorstQuery(
            image_id=table["image_id"][query].as_py(),
            item_id=table["item_id"][query].as_py(),
            first_rank=round(1 / reciprocal[query]),
            map_at_r=float(precision[query]),
            found_image_id=results.image_ids[first[query]] if first[query] >= 0 else None,
            found_item_id=results.item_ids[first[query]] if first[query] >= 0 else None,
            score=float(results.scores[first[query]]) if first[query] >= 0 else None,
            margin=float(margins[query]) if first[query] >= 0 else None,
            at_least=not results.hit_listed[query],
        )
        for query in chosen.tolist()
    ]


def confused_pairs(table: pa.Table, count: int) -> list[ConfusedPair]:
    """The pairs of items that are confused most often; ties by the higher rate.

    Only listed results count: items beyond the listed results are not confused with each other.

    Args:
        table: of `src.eval.per_query`.
        count: how many, at most.
    """
    results = read_listed_results(table)
    query_items = table["item_id"].to_numpy()
    names, codes = np.unique(np.concatenate([query_items, results.item_ids]).astype(str), return_inverse=True)
    queried, found = codes[: len(query_items)], codes[len(query_items) :]
    totals = np.bincount(queried[results.answerable], minlength=len(names))
    misses = _misses_before_hit(results, found)
    own = queried[results.query[misses]]
    # A pair is named by its lower and its higher code.
    low, high = np.minimum(own, found[misses]), np.maximum(own, found[misses])
    pairs, which = np.unique(low * len(names) + high, return_inverse=True)
    counts = np.bincount(which, minlength=len(pairs))
    by_low = np.bincount(which[own == low], minlength=len(pairs))
    low, high = pairs // len(names), pairs % len(names)
    rates = counts / np.maximum(totals[low] + totals[high], 1)
    highest = _highest_scores(results, misses, which, len(pairs))
    return [
        ConfusedPair(
            items=(str(names[low[pair]]), str(names[high[pair]])),
            count=int(counts[pair]),
            by_item=(int(by_low[pair]), int(counts[pair] - by_low[pair])),
            queries=(int(totals[low[pair]]), int(totals[high[pair]])),
            rate=float(rates[pair]),
            same_product=bool(results.same_product[highest[pair]]),
            query_image_id=table["image_id"][int(results.query[highest[pair]])].as_py(),
            found_image_id=str(results.image_ids[highest[pair]]),
            score=float(results.scores[highest[pair]]),
        )
        for pair in np.lexsort((pairs, -rates, -counts))[:count].tolist()
    ]


def _misses_before_hit(results: ListedResults, found: np.ndarray) -> np.ndarray:
    """Positions of the results before the first hit; of each query and item the best one."""
    misses = np.flatnonzero(results.before_hit)
    _, first = np.unique(np.stack([results.query[misses], found[misses]]), axis=1, return_index=True)
    return misses[np.sort(first)]


def _highest_scores(results: ListedResults, misses: np.ndarray, which: np.ndarray, pairs: int) -> np.ndarray:
    """For each pair the position of the result with the highest score."""
    order = np.argsort(results.scores[misses], kind="stable")
    highest = np.empty(pairs, np.int64)
    highest[which[order]] = misses[order]
    return highest


def hard_cases(table: pa.Table, count: int = 50) -> dict[str, list[dict[str, Any]]]:
    """Worst queries, confused pairs and suspected labels (by this one model), as values that JSON can hold.

    Args:
        table: of `src.eval.per_query`.
        count: cases of each kind, at most.
    """
    return {
        "worst_queries": [asdict(case) for case in worst_queries(table, count)],
        "confused_pairs": [asdict(pair) for pair in confused_pairs(table, count)],
        "suspected_labels": [asdict(case) for case in suspected_labels({"this": table}, count)],
    }


def write_hard_cases(table: pa.Table, path: Path, count: int = 50) -> dict[str, list[dict[str, Any]]]:
    """Write `hard_cases.json` atomically and return its content."""
    cases = hard_cases(table, count)
    write_atomically(path, json.dumps(cases, indent=2) + "\n")
    return cases
