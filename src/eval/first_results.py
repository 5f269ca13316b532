"""What the first results of queries say about themselves: their scores, and whether they are right."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from src.eval.per_query import about_queries

__all__ = ["FirstResults", "first_results"]


@dataclass(frozen=True)
class FirstResults:
    """Queries that have a positive and two results at least, row by row.

    Attributes:
        first: score of the first result, float64 of shape (queries,).
        second: score of the second.
        right: whether the first is the query's item.
        stranger: score of the first result of another item: the first score if the catalogue did not have the item.
        products: the product of each query.
    """

    first: np.ndarray
    second: np.ndarray
    right: np.ndarray
    stranger: np.ndarray
    products: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def first_results(table: pa.Table) -> FirstResults | None:
    """Read them from a table of queries.

    Args:
        table: of `per_query_table`.

    Returns:
        None where images were ranked and not items (`level=image`): an item's images stand before its rivals.
    """
    if about_queries(table)["protocol"]["level"] != "item":
        return None
    lengths = np.diff(table["result_scores"].combine_chunks().offsets.to_numpy())
    kept = np.flatnonzero((lengths >= 2) & (table["positives"].to_numpy() > 0))
    table = table.take(pa.array(kept))
    scores, items = (table[name].combine_chunks() for name in ("result_scores", "result_item_ids"))
    starts = scores.offsets.to_numpy()[:-1]
    score = scores.values.to_numpy(zero_copy_only=False).astype(np.float64)
    names = items.values.to_numpy(zero_copy_only=False)
    asked = table["item_id"].to_numpy()
    right = names[starts] == asked
    return FirstResults(
        first=score[starts],
        second=score[starts + 1],
        right=right,
        stranger=score[starts + right],
        products=table["product"].to_numpy(),
    )
