"""Cold start: only queries of items that were listed after the training, which cannot have seen them."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded

__all__ = ["queries_listed_after"]

_KIND = pa.timestamp("us", tz="UTC")


def queries_listed_after(queries: Embedded, gallery: Embedded, date: str) -> np.ndarray:
    """Rows of the queries whose item was listed after a date.

    The date of an item is the earliest `listed_at` of its images, gallery images included, since user photos often have
    none. Items without a date are left out.

    Args:
        queries: the query images.
        gallery: the gallery images; none is left out.
        date: ISO date or time; without a zone it is UTC.

    Returns:
        int64 of shape (remaining queries,).

    Raises:
        LookalikeError: no image has a `listed_at`, or no query remains.
    """
    after = datetime.fromisoformat(date)
    after = after if after.tzinfo else after.replace(tzinfo=UTC)
    parts = [
        pa.table({"item": pa.array(part.item_ids.astype(str)), "at": _moments(column, date)})
        for part in (queries, gallery)
        if (column := part.attribute("listed_at")) is not None
    ]
    if not parts:
        raise LookalikeError(f"`listed_after={date}`: no image has a listed_at; give the catalogue that column")
    first = pa.concat_tables(parts).group_by("item").aggregate([("at", "min")])
    new = set(first.filter(pc.greater(first["at_min"], pa.scalar(after, _KIND)))["item"].to_pylist())
    rows: np.ndarray = np.flatnonzero([str(item) in new for item in queries.item_ids])
    if not len(rows):
        latest = pc.max(first["at_min"]).as_py()
        raise LookalikeError(f"`listed_after={date}`: no query's item was listed after it; the latest was at {latest}")
    return rows


def _moments(column: pa.ChunkedArray, date: str) -> pa.ChunkedArray:
    """A column of times of any resolution, of dates or of ISO 8601 as `_KIND`; what has no zone is UTC."""
    try:
        # Nanoseconds are cut off.
        return column.cast(_KIND, safe=not pa.types.is_timestamp(column.type))
    except pa.ArrowException as error:
        raise LookalikeError(
            f"`listed_after={date}`: column listed_at holds {column.type}, which cannot be read as times ({error})"
        ) from error
