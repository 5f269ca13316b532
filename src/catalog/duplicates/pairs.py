"""Pairs of duplicates by a join: one definition in SQL and in functions of record batches, for DuckDB and for Spark.

Two images are exact duplicates if their files (and boxes) are equal; near ones if at most `BandPlan.max_bits` of their
hashes' bits differ, found by bands, and their 8 x 8 colours are alike (`MAX_COLOURS`): without these, colour variants
of a product in the same pose would be duplicates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from src.catalog.duplicates.band_plan import BandPlan
from src.catalog.duplicates.fingerprint import FINGERPRINT, MAX_COLOURS, colour_difference

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["FINGERPRINTS", "PAIRS", "DuplicatePairs", "duplicate_pairs", "duplicate_pairs_spark", "fingerprint_table"]

FINGERPRINTS = pa.schema(
    [("image_id", pa.string()), ("file", pa.binary()), ("bits", pa.binary()), ("colours", pa.binary())]
)
"""The fields of `FINGERPRINT`, by image."""

PAIRS = pa.schema(
    [
        ("image_id", pa.string()),
        ("other_id", pa.string()),
        ("kind", pa.string()),
        ("bits", pa.int32()),
        ("colours", pa.float32()),
    ]
)
"""Duplicates: `image_id` < `other_id`; `exact` or `near`; the different bits; `colour_difference`."""

HOT = pa.schema([("band", pa.int32()), ("value", pa.int64()), ("images", pa.int64())])
"""Values of bands that more than `max_bucket` images share."""

_ROWS = pa.schema(
    [
        ("image_id", pa.string()),
        ("band", pa.int32()),
        ("value", pa.int64()),
        *((f"w{number}", pa.int64()) for number in range(4)),
    ]
)

_FIRSTS = """
SELECT image_id, bits, colours FROM (
  SELECT *, min(image_id) OVER (PARTITION BY file) AS first_id FROM {fingerprints}
) AS marked WHERE image_id = first_id
"""

_EXACT = """
SELECT first_id AS image_id, image_id AS other_id, 'exact' AS kind, CAST(0 AS INT) AS bits, CAST(0 AS FLOAT) AS colours
FROM (SELECT image_id, min(image_id) OVER (PARTITION BY file) AS first_id FROM {fingerprints}) AS marked
WHERE first_id < image_id
"""

_HOT = "SELECT band, value, count(*) AS images FROM {rows} GROUP BY band, value HAVING count(*) > %(bucket)d"

# The first images of a value meet all others of it, so that a value which many share costs no square.
_CANDIDATES = """
SELECT DISTINCT stored.image_id AS image_id, asking.image_id AS other_id, %(bits)s AS bits
FROM (
  SELECT *, row_number() OVER (PARTITION BY band, value ORDER BY image_id) AS place FROM {rows}
) AS stored
JOIN (
  SELECT rows.*, %(probe)s AS probe FROM {rows} AS rows CROSS JOIN (VALUES %(masks)s) AS masks(mask)
) AS asking
ON stored.band = asking.band AND stored.value = asking.probe AND stored.image_id < asking.image_id
WHERE stored.place <= %(bucket)d AND %(bits)s <= %(max_bits)d
"""

_WITH_COLOURS = """
SELECT pairs.image_id, pairs.other_id, pairs.bits, a.colours AS colours, b.colours AS other_colours
FROM {candidates} AS pairs
JOIN {firsts} AS a ON a.image_id = pairs.image_id
JOIN {firsts} AS b ON b.image_id = pairs.other_id
"""

_XOR = {"duckdb": "xor(%s, %s)", "spark": "(%s ^ %s)"}


@dataclass(frozen=True)
class DuplicatePairs:
    """What a join found.

    Attributes:
        pairs: with the schema `PAIRS`; of a group of equal files, each with the first image of them only.
        hot: with the schema `HOT`: where pairs may be missing, since only the first images were compared with all.
    """

    pairs: Any
    hot: Any


def fingerprint_table(image_ids: list[str], prints: np.ndarray) -> pa.Table:
    """Fingerprints as a table.

    Args:
        image_ids: one for each.
        prints: `FINGERPRINT` array of shape (images,).

    Returns:
        Table with the schema `FINGERPRINTS`.
    """
    columns = [pa.array([row.tobytes() for row in prints[name]], pa.binary()) for name in ("bits", "colours")]
    files = pa.array(prints["file"].tolist(), pa.binary())
    return pa.table([pa.array(image_ids, pa.string()), files, *columns], schema=FINGERPRINTS)


def duplicate_pairs(fingerprints: pa.Table, plan: BandPlan, *, max_bucket: int = 200) -> DuplicatePairs:
    """Find the duplicates of a catalogue in this process, with DuckDB, which uses the disk where memory is short.

    Args:
        fingerprints: with the schema `FINGERPRINTS`; each image once.
        plan: how near, and by which bands.
        max_bucket: images of one value of one band that are compared with all others of that value.

    Returns:
        Tables of Arrow, sorted by ids and by bands.
    """
    import duckdb

    with duckdb.connect() as database:
        database.register("fingerprints", fingerprints)
        firsts = database.sql(_FIRSTS.format(fingerprints="fingerprints")).to_arrow_table()
        rows = pa.Table.from_batches(_band_rows(firsts.to_batches(), plan), _ROWS)
        database.register("firsts", firsts)
        database.register("band_rows", rows)
        found = _candidates(plan, max_bucket, "duckdb").format(rows="band_rows")
        pairs = _WITH_COLOURS.format(candidates=f"({found})", firsts="firsts")
        reader = database.sql(pairs).to_arrow_reader(20_000)
        near = pa.Table.from_batches(_of_one_colour(reader), PAIRS)
        exact = database.sql(_EXACT.format(fingerprints="fingerprints")).to_arrow_table().cast(PAIRS)
        hot = database.sql(_HOT.format(rows="band_rows") % {"bucket": max_bucket}).to_arrow_table().cast(HOT)
    order = [("image_id", "ascending"), ("other_id", "ascending")]
    pairs = pa.concat_tables([exact, near]).sort_by(order)
    return DuplicatePairs(pairs=pairs, hot=hot.sort_by([("band", "ascending"), ("value", "ascending")]))


def duplicate_pairs_spark(fingerprints: "DataFrame", plan: BandPlan, *, max_bucket: int = 200) -> DuplicatePairs:
    """The same on Spark.

    Args:
        fingerprints: a data frame with the columns of `FINGERPRINTS`; each image once.
        plan: how near, and by which bands.
        max_bucket: images of one value of one band that are compared with all others of that value.

    Returns:
        Data frames, in no order; nothing is computed before they are read.
    """
    spark = fingerprints.sparkSession
    firsts = spark.sql(_FIRSTS, fingerprints=fingerprints)
    schema = "image_id string, band int, value bigint, w0 bigint, w1 bigint, w2 bigint, w3 bigint"
    rows = firsts.mapInArrow(lambda batches: _band_rows(batches, plan), schema)
    candidates = spark.sql(_candidates(plan, max_bucket, "spark"), rows=rows)
    coloured = spark.sql(_WITH_COLOURS, candidates=candidates, firsts=firsts)
    kept = "image_id string, other_id string, kind string, bits int, colours float"
    near = coloured.mapInArrow(_of_one_colour, kept)
    exact = spark.sql(_EXACT, fingerprints=fingerprints)
    return DuplicatePairs(pairs=exact.unionByName(near), hot=spark.sql(_HOT % {"bucket": max_bucket}, rows=rows))


def _candidates(plan: BandPlan, max_bucket: int, dialect: str) -> str:
    xor = _XOR[dialect]
    bits = " + ".join(f"CAST(bit_count({xor % (f'stored.w{n}', f'asking.w{n}')}) AS INT)" for n in range(4))
    masks = ", ".join(f"(CAST({mask} AS BIGINT))" for mask in plan.masks)
    values = {"bits": f"({bits})", "probe": xor % ("rows.value", "mask"), "masks": masks}
    return _CANDIDATES % {**values, "bucket": max_bucket, "max_bits": plan.max_bits}


def _band_rows(batches: Iterator[pa.RecordBatch], plan: BandPlan) -> Iterator[pa.RecordBatch]:
    """A row for each image and band, with all of the image's bits in four words."""
    for batch in batches:
        ids = batch.column("image_id").cast(pa.string())
        hashes = np.frombuffer(b"".join(batch.column("bits").to_pylist()), np.uint8).reshape(-1, 32)
        values, words = plan.values(hashes), np.ascontiguousarray(hashes).view("<i8")
        image = np.repeat(np.arange(len(hashes)), plan.bands)
        columns = [
            ids.take(pa.array(image)),
            pa.array(np.tile(np.arange(plan.bands, dtype=np.int32), len(hashes))),
            pa.array(values.ravel()),
            *(pa.array(words[image, number]) for number in range(4)),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=_ROWS)


def _of_one_colour(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The pairs whose colours are alike."""
    side = FINGERPRINT["colours"].itemsize
    for batch in batches:
        a, b = (
            np.frombuffer(b"".join(batch.column(name).to_pylist()), np.uint8).reshape(-1, side)
            for name in ("colours", "other_colours")
        )
        apart = colour_difference(a, b) if len(a) else np.zeros(0, np.float32)
        keep = np.flatnonzero(apart <= MAX_COLOURS)
        ids = [batch.column(name).cast(pa.string()).take(pa.array(keep)) for name in ("image_id", "other_id")]
        bits = batch.column("bits").cast(pa.int32()).take(pa.array(keep))
        columns = [*ids, pa.array(["near"] * len(keep), pa.string()), bits, pa.array(apart[keep], pa.float32())]
        yield pa.RecordBatch.from_arrays(columns, schema=PAIRS)
