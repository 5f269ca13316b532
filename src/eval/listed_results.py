"""The listed results of all queries as flat arrays, read from a table of queries."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from src.eval.per_query import about_queries

__all__ = ["ListedResults", "read_listed_results"]


@dataclass(frozen=True)
class ListedResults:
    """All listed results of all queries, query by query, best first; queries without a positive have none.

    Attributes:
        query: int64 of shape (results,): row of the query in its table.
        image_ids: object array of shape (results,).
        item_ids: object array of shape (results,).
        scores: float64 of shape (results,).
        same_product: bool of shape (results,): another item of the query's product (graded as such).
        hit: bool of shape (results,): of the query's item.
        before_hit: bool of shape (results,): a miss before the query's first hit, or any miss where no hit is listed.
        hit_score: float64 of shape (queries,): score of the first hit; where no hit is listed, of the last result,
            which is an upper bound of it; NaN where nothing is listed.
        hit_listed: bool of shape (queries,): whether a hit is listed.
        answerable: bool of shape (queries,): whether the gallery has a positive.
    """

    query: np.ndarray
    image_ids: np.ndarray
    item_ids: np.ndarray
    scores: np.ndarray
    same_product: np.ndarray
    hit: np.ndarray
    before_hit: np.ndarray
    hit_score: np.ndarray
    hit_listed: np.ndarray
    answerable: np.ndarray

    def first_misses(self) -> np.ndarray:
        """Position of each query's best miss in the flat arrays, -1 where there is none: int64 of shape (queries,)."""
        first = np.full(len(self.hit_score), -1)
        misses = np.flatnonzero(~self.hit)[::-1]
        first[self.query[misses]] = misses
        return first


def read_listed_results(table: pa.Table) -> ListedResults:
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
    # Written from the last to the first, so that each query keeps its first hit.
    hits, positions = np.flatnonzero(hit)[::-1], np.arange(len(query))
    first_hit = np.full(table.num_rows, len(query))
    first_hit[query[hits]] = hits
    hit_listed = first_hit < len(query)
    hit_score = np.full(table.num_rows, np.nan)
    hit_score[query] = scores  # each query keeps its last result's
    hit_score[hit_listed] = scores[first_hit[hit_listed]]
    grade = about_queries(table)["protocol"].get("grades", {}).get("parent_id")
    same_product = ~hit & (flat("result_grades") == grade) if grade is not None else np.zeros(len(query), bool)
    return ListedResults(
        query=query,
        image_ids=flat("result_image_ids"),
        item_ids=items,
        scores=scores,
        same_product=same_product,
        hit=hit,
        before_hit=positions < first_hit[query],
        hit_score=hit_score,
        hit_listed=hit_listed,
        answerable=answerable,
    )
