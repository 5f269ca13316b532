"""What is known of each image of a catalogue: the join of the items with the tables of earlier runs, in DuckDB."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from src.contracts.tables import unpack_vectors
from src.pipelines.batch_tables import EMBEDDINGS, FILES, open_table
from src.pipelines.job import Job, joined

__all__ = ["State"]

_ITEMS = ("image_id", "item_id", "image")

_LATEST = """
CREATE OR REPLACE TEMP VIEW latest AS
SELECT image_id, unnest(arg_max({
    'image': image, 'box': box, 'file': file, 'content_hash': content_hash, 'preprocessing': preprocessing,
    'rules': rules, 'outcome': outcome}, run))
FROM files GROUP BY image_id
"""

_PLAN = """
SELECT i.image_id, i.item_id, i.image, i.box, i.event_at,
    CASE WHEN same THEN file END AS known_file,
    CASE WHEN same_pixels THEN f.content_hash END AS known_hash,
    CASE WHEN same THEN outcome END AS known_outcome,
    coalesce(same_pixels AND e.image_id IS NOT NULL, false) AS embedded
FROM items i
LEFT JOIN (SELECT l.*,
        l.box IS NOT DISTINCT FROM j.box AND preprocessing = $spec AS same_pixels,
        l.image = j.image AND l.box IS NOT DISTINCT FROM j.box AND preprocessing = $spec AND rules = $rules AS same
    FROM latest l JOIN items j USING (image_id)) f USING (image_id)
LEFT JOIN embedded e ON e.image_id = i.image_id AND e.content_hash = f.content_hash
WHERE i.wanted
"""

_STATUS = """
CREATE OR REPLACE TEMP TABLE status AS
WITH stands AS (
    SELECT content_hash, count(DISTINCT item_id) AS items,
        arg_min(image_id, (coalesce(event_at, 9223372036854775807), image_id)) AS oldest
    FROM latest JOIN items USING (image_id) WHERE wanted AND outcome = 'ok' GROUP BY content_hash)
SELECT i.row, i.image_id, f.content_hash,
    CASE
        WHEN NOT i.wanted THEN 'dropped'
        WHEN outcome IS NULL OR f.preprocessing <> $spec OR f.rules <> $rules THEN 'lost'
        WHEN outcome <> 'ok' THEN 'quarantined'
        WHEN s.items > $most THEN 'quarantined'
        WHEN $drop_copies AND i.image_id <> s.oldest THEN 'dropped'
        WHEN e.image_id IS NULL THEN 'lost'
        ELSE 'out' END AS status,
    CASE
        WHEN NOT i.wanted THEN 'not_gallery'
        WHEN outcome <> 'ok' THEN outcome
        WHEN s.items > $most THEN 'placeholder'
        WHEN $drop_copies AND i.image_id <> s.oldest THEN 'copy' END AS reason
FROM items i
LEFT JOIN latest f USING (image_id)
LEFT JOIN stands s ON s.content_hash = f.content_hash
LEFT JOIN embedded e ON e.image_id = i.image_id AND e.content_hash = f.content_hash
"""

_VECTORS = """
SELECT s.row, v.vector
FROM status s JOIN (
    SELECT image_id, content_hash, arg_max(vector, (created_at, version)) AS vector
    FROM embeddings WHERE encoder_id = $encoder AND NOT deleted GROUP BY image_id, content_hash) v
ON v.image_id = s.image_id AND v.content_hash = s.content_hash
WHERE s.status = 'out' ORDER BY s.row
"""


class State:
    """The tables of an output as they are now, beside a catalogue. Use from one thread."""

    def __init__(
        self, job: Job, items: pa.Table, wanted: np.ndarray, *, most_items: int | None, drop_copies: bool
    ) -> None:
        """Open the tables.

        Args:
            job: names output, encoder, preprocessing and rules.
            items: `image_id`, `item_id`, `image`, and `box` and `listed_at` where there are any.
            wanted: bool of shape (rows,): the rows that are embedded; the others are dropped by a rule.
            most_items: a picture that stands under more items than this is a placeholder; None for no such rule.
            drop_copies: whether only the oldest image of those with the same content is searchable.
        """
        self._drop_copies = drop_copies
        self._job, self._most = job, 2**31 if most_items is None else most_items
        self._database = duckdb.connect()
        self._ask("SET TimeZone = 'UTC'")
        self._database.register("items", _planned(items, wanted))
        self._items = len(items)
        self.refresh()

    def refresh(self) -> None:
        """Read the tables anew."""
        files = open_table(self._job.output, FILES).to_pyarrow_dataset()
        self._database.register("files", files)
        self._ask(_LATEST)
        uri = joined(self._job.output, EMBEDDINGS)
        self._has_embeddings = DeltaTable.is_deltatable(uri)
        if self._has_embeddings:
            self._database.register("embeddings", DeltaTable(uri).to_pyarrow_dataset())
            of_encoder = f"FROM embeddings WHERE encoder_id = '{self._job.encoder_id}' AND NOT deleted"
        else:
            of_encoder = "FROM files WHERE false"
        self._ask(f"CREATE OR REPLACE TEMP TABLE embedded AS SELECT DISTINCT image_id, content_hash {of_encoder}")

    def last_run(self) -> int:
        """The number of the last run that committed anything; 0 before the first."""
        return int(self._ask("SELECT coalesce(max(run), 0) FROM files")[0][0])

    def plan(self, rows: int) -> Iterator[pa.RecordBatch]:
        """What a worker is told of each wanted row, in the columns of `PLANNED`, at most so many rows at a time."""
        values = {"spec": self._job.spec.hash, "rules": self._job.rules_hash}
        yield from self._database.sql(_PLAN, params=values).to_arrow_reader(rows)

    def count(self) -> dict[str, int]:
        """How many rows of the catalogue are `out`, `quarantined:REASON`, `dropped:RULE` or `lost`."""
        values = {"spec": self._job.spec.hash, "rules": self._job.rules_hash}
        self._ask(_STATUS, **values, most=self._most, drop_copies=self._drop_copies)
        query = "SELECT status, reason, count(*) FROM status GROUP BY status, reason ORDER BY status, reason"
        found = self._ask(query)
        return {status if status in ("out", "lost") else f"{status}:{reason}": count for status, reason, count in found}

    def quarantined(self, samples: int) -> dict[str, list[int]]:
        """Some rows of the catalogue for each reason of quarantine, of the last `count`."""
        query = """SELECT reason, list(row ORDER BY hash(image_id))[:$samples] FROM status
            WHERE status = 'quarantined' GROUP BY reason ORDER BY reason"""
        return dict(self._ask(query, samples=samples))

    def vectors(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """The stored embeddings of all rows that are `out` by the last `count`.

        Args:
            path: file for a memory map of the vectors, which may be more than fits in memory.

        Returns:
            Rows of the catalogue, int64 of shape (images,), ascending; and their vectors, float32 of shape
            (images, dim), L2-normalised after float16.
        """
        count = int(self._ask("SELECT count(*) FROM status WHERE status = 'out'")[0][0])
        rows = np.empty(count, np.int64)
        vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, self._job.dim))
        done = 0
        if self._has_embeddings:
            found = self._database.sql(_VECTORS, params={"encoder": self._job.encoder_id})
            for batch in found.to_arrow_reader(65_536):
                part = slice(done, done + len(batch))
                rows[part] = batch.column("row").to_numpy()
                stored = unpack_vectors(batch.column("vector").cast(pa.binary(2 * self._job.dim)))
                vectors[part] = stored / np.linalg.norm(stored, axis=1, keepdims=True)
                done += len(batch)
        assert done == count, "the gate counts what the join finds"
        return rows, vectors

    def _ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """All rows of an answer: a connection does one thing after another."""
        rows: list[tuple[Any, ...]] = self._database.execute(query, values).fetchall()
        return rows


def _planned(items: pa.Table, wanted: np.ndarray) -> pa.Table:
    columns = {name: items[name] for name in _ITEMS}
    boxes, listed = pa.nulls(len(items), pa.list_(pa.float64())), pa.nulls(len(items), pa.int64())
    if "box" in items.column_names:
        boxes = items["box"].cast(pa.list_(pa.float64()))
    if "listed_at" in items.column_names:
        listed = items["listed_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return pa.table(columns | {"row": np.arange(len(items)), "box": boxes, "event_at": listed, "wanted": wanted})
