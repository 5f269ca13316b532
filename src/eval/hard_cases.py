"""Where an encoder fails: its worst queries, and the products that it takes for each other."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.atomic_file import write_atomically
from src.eval.answers import Answers, read_answers
from src.eval.suspected_labels import suspected_labels

__all__ = ["ConfusedPair", "WorstQuery", "confused_pairs", "hard_cases", "worst_queries", "write_hard_cases"]


@dataclass(frozen=True)
class WorstQuery:
    """A query that was answered badly.

    Attributes:
        image_id: the query.
        item_id: what it should have found.
        first_rank: rank of the first positive.
        map_at_r: its mAP@R.
        found_image_id: the best result that is wrong, or None where there is none.
        found_item_id: that result's item.
        score: that result's score.
        margin: how far that result is above the best positive, on the scale of the scores; below 0 where it is not.
        at_least: the positive was not among the results listed, so that the margin is at least this.
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
    """Two items, and how often a query of one finds the other above its own.

    Attributes:
        items: the two, by name.
        count: such queries, of both items.
        by_item: such queries of each of the two, in their order.
        queries: queries with a positive of each of the two, in their order.
        rate: `count` over all queries of the two.
        same_product: the two are variants of one product.
        query_image_id: the query of them that was most sure.
        found_image_id: what it found.
        score: the score of that.
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
    """The queries of lowest mAP@R; of equal ones those whose first positive is deepest, then of the largest margin.

    Args:
        table: of `src.eval.per_query`.
        count: how many, at most.
    """
    answers = read_answers(table)
    precision, reciprocal = (table[name].to_numpy(zero_copy_only=False).astype(float) for name in ("map@r", "mrr"))
    first = answers.first_misses()
    margins = np.full(len(first), -np.inf)
    margins[first >= 0] = answers.scores[first[first >= 0]] - answers.right[first >= 0]
    order = np.lexsort((-margins, reciprocal, precision))
    chosen = order[answers.answerable[order]][:count]
    return [
        WorstQuery(
            image_id=table["image_id"][query].as_py(),
            item_id=table["item_id"][query].as_py(),
            first_rank=round(1 / reciprocal[query]),
            map_at_r=float(precision[query]),
            found_image_id=answers.image_ids[first[query]] if first[query] >= 0 else None,
            found_item_id=answers.item_ids[first[query]] if first[query] >= 0 else None,
            score=float(answers.scores[first[query]]) if first[query] >= 0 else None,
            margin=float(margins[query]) if first[query] >= 0 else None,
            at_least=not answers.listed[query],
        )
        for query in chosen.tolist()
    ]


def confused_pairs(table: pa.Table, count: int) -> list[ConfusedPair]:
    """The pairs of items that stand above each other most often, of equal ones those with the higher rate first.

    Only listed results count: an item far down is not confused with one still farther down.

    Args:
        table: of `src.eval.per_query`.
        count: how many, at most.
    """
    answers = read_answers(table)
    asked = table["item_id"].to_numpy()
    names, codes = np.unique(np.concatenate([asked, answers.item_ids]).astype(str), return_inverse=True)
    queried, found = codes[: len(asked)], codes[len(asked) :]
    totals = np.bincount(queried[answers.answerable], minlength=len(names))
    ahead = _once_a_query(answers, found)
    own = queried[answers.query[ahead]]
    # A pair is named by its lower and its higher code.
    low, high = np.minimum(own, found[ahead]), np.maximum(own, found[ahead])
    pairs, which = np.unique(low * len(names) + high, return_inverse=True)
    counts = np.bincount(which, minlength=len(pairs))
    by_low = np.bincount(which[own == low], minlength=len(pairs))
    low, high = pairs // len(names), pairs % len(names)
    rates = counts / np.maximum(totals[low] + totals[high], 1)
    surest = _surest(answers, ahead, which, len(pairs))
    return [
        ConfusedPair(
            items=(str(names[low[pair]]), str(names[high[pair]])),
            count=int(counts[pair]),
            by_item=(int(by_low[pair]), int(counts[pair] - by_low[pair])),
            queries=(int(totals[low[pair]]), int(totals[high[pair]])),
            rate=float(rates[pair]),
            same_product=bool(answers.same_product[surest[pair]]),
            query_image_id=table["image_id"][int(answers.query[surest[pair]])].as_py(),
            found_image_id=str(answers.image_ids[surest[pair]]),
            score=float(answers.scores[surest[pair]]),
        )
        for pair in np.lexsort((pairs, -rates, -counts))[:count].tolist()
    ]


def _once_a_query(answers: Answers, found: np.ndarray) -> np.ndarray:
    """Positions of results ahead of the first hit, each item of a query once: its best image."""
    ahead = np.flatnonzero(answers.ahead)
    _, first = np.unique(np.stack([answers.query[ahead], found[ahead]]), axis=1, return_index=True)
    return ahead[np.sort(first)]


def _surest(answers: Answers, ahead: np.ndarray, which: np.ndarray, pairs: int) -> np.ndarray:
    """For each pair the position of the result of highest score."""
    order = np.argsort(answers.scores[ahead], kind="stable")
    surest = np.empty(pairs, np.int64)
    surest[which[order]] = ahead[order]
    return surest


def hard_cases(table: pa.Table, count: int = 50) -> dict[str, list[dict[str, Any]]]:
    """Worst queries, confused pairs and suspected labels (by this one model) as plain values.

    Args:
        table: of `src.eval.per_query`.
        count: of each, at most.
    """
    return {
        "worst_queries": [asdict(case) for case in worst_queries(table, count)],
        "confused_pairs": [asdict(pair) for pair in confused_pairs(table, count)],
        "suspected_labels": [asdict(case) for case in suspected_labels({"this": table}, count)],
    }


def write_hard_cases(table: pa.Table, path: Path, count: int = 50) -> dict[str, list[dict[str, Any]]]:
    """Write `hard_cases.json` whole or not at all, and return what it holds."""
    cases = hard_cases(table, count)
    write_atomically(path, json.dumps(cases, indent=2) + "\n")
    return cases
