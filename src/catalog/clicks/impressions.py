"""The interactions log as integers: one row for each result that was shown, with its strongest event."""

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.tables import EVENTS, validate_interactions

__all__ = ["Impressions", "read_impressions"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Impressions:
    """Results that were shown. The arrays have shape (impressions,).

    Attributes:
        pages: int64, number of the result page: one session's results for one query image.
        queries: int64, position of the query image in `query_ids`.
        items: int64, position of the item in `item_ids`.
        ranks: int64, from 1.
        events: int64, position in `EVENTS` of the strongest event; 0 where it was only shown.
        query_ids: object array of strings.
        item_ids: object array of strings.
    """

    pages: np.ndarray
    queries: np.ndarray
    items: np.ndarray
    ranks: np.ndarray
    events: np.ndarray
    query_ids: np.ndarray
    item_ids: np.ndarray

    def __len__(self) -> int:
        """Impressions."""
        return len(self.pages)

    @property
    def clicked(self) -> np.ndarray:
        """Whether it was clicked (or carted, or bought): bool of shape (impressions,)."""
        return self.events > 0

    @property
    def pairs(self) -> np.ndarray:
        """A number for each (query image, item): int64 of shape (impressions,)."""
        return self.queries * len(self.item_ids) + self.items


def read_impressions(events: pa.Table) -> Impressions:
    """Join the events of a log to their impressions.

    An event without its impression cannot be used for click rates: it is left out, and the number of such events is
    logged.

    Args:
        events: an interactions table, in any order; repeated events count once.

    Raises:
        TableError: the table does not match the schema.
    """
    events = validate_interactions(events)
    (sessions, _), (queries, query_ids), (items, item_ids) = (
        _coded(events[name]) for name in ("session_id", "query_image_id", "item_id")
    )
    keys = {"session": sessions, "query": queries, "item": items, "rank": events["rank"].cast(pa.int64())}
    levels = pc.index_in(events["event"], pa.array(EVENTS))
    shown = pa.table({**keys, "level": levels}).group_by(list(keys), use_threads=False)
    found = shown.aggregate([("level", "min"), ("level", "max")])
    lost = found.filter(pc.greater(found["level_min"], 0)).num_rows
    if lost:
        log.warning("%d results were clicked without having been logged as shown; they are left out", lost)
        found = found.filter(pc.equal(found["level_min"], 0))
    sessions, queries, items, ranks, level = (found[name].to_numpy().astype(np.int64) for name in (*keys, "level_max"))
    pages = np.unique(sessions * max(len(query_ids), 1) + queries, return_inverse=True)[1]
    return Impressions(pages.astype(np.int64), queries, items, ranks, level, query_ids, item_ids)


def _coded(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Numbers of a column's values, and the values."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.indices.cast(pa.int64()), np.asarray(coded.dictionary.to_pylist(), dtype=object)
