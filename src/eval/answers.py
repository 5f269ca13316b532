"""What queries found, result by result, as arrays: a view of the lists in a table of queries."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from src.eval.per_query import about_queries

__all__ = ["Answers", "read_answers"]


@dataclass(frozen=True)
class Answers:
    """All listed results of all queries, query by query, best first; queries without a positive have none.

    Attributes:
        query: int64 of shape (results,): row of the query in its table.
        image_ids: object array of shape (results,).
        item_ids: object array of shape (results,).
        scores: float64 of shape (results,).
        same_product: bool of shape (results,): another item of the query's product (graded as such).
        hit: bool of shape (results,): of the query's item.
        ahead: bool of shape (results,): a miss before the query's first hit, or any where no hit is listed.
        right: float64 of shape (queries,): score of the first hit; where none is listed, of the last result, which is
            the most that a hit can have; NaN where nothing is listed.
        listed: bool of shape (queries,): whether a hit is listed.
        answerable: bool of shape (queries,): whether there is a positive to be found.
    """

    query: np.ndarray
    image_ids: np.ndarray
    item_ids: np.ndarray
    scores: np.ndarray
    same_product: np.ndarray
    hit: np.ndarray
    ahead: np.ndarray
    right: np.ndarray
    listed: np.ndarray
    answerable: np.ndarray

    def first_misses(self) -> np.ndarray:
        """The best miss of each query, a position in the flat arrays, -1 where there is none: int64 (queries,)."""
        first = np.full(len(self.right), -1)
        misses = np.flatnonzero(~self.hit)[::-1]
        first[self.query[misses]] = misses
        return first


def read_answers(table: pa.Table) -> Answers:
    """Arrays from a table of `src.eval.per_query`."""
    answerable = table["positives"].to_numpy() > 0
    lists = table["result_item_ids"].combine_chunks()
    lengths = np.asarray(lists.value_lengths().to_numpy(zero_copy_only=False), dtype=np.int64)
    query = np.repeat(np.arange(table.num_rows), lengths)
    kept = answerable[query]

    def flat(name: str) -> np.ndarray:
        return table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)[kept]

    query = query[kept]
    items, scores = flat("result_item_ids"), flat("result_scores").astype(np.float64)
    hit = items == table["item_id"].to_numpy()[query]
    # Reversed, so that the first one written last stays.
    hits, everything = np.flatnonzero(hit)[::-1], np.arange(len(query))
    first_hit = np.full(table.num_rows, len(query))
    first_hit[query[hits]] = hits
    listed = first_hit < len(query)
    right = np.full(table.num_rows, np.nan)
    right[query] = scores  # the last one written is the last listed
    right[listed] = scores[first_hit[listed]]
    grade = about_queries(table)["protocol"].get("grades", {}).get("parent_id")
    same_product = ~hit & (flat("result_grades") == grade) if grade is not None else np.zeros(len(query), bool)
    return Answers(
        query=query,
        image_ids=flat("result_image_ids"),
        item_ids=items,
        scores=scores,
        same_product=same_product,
        hit=hit,
        ahead=everything < first_hit[query],
        right=right,
        listed=listed,
        answerable=answerable,
    )
