"""Rows of the embeddings table before they are stored: the contract, and its check."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import TableError
from src.contracts.tables import conform, embeddings_schema

__all__ = ["EMBEDDING_ROWS", "tombstones", "validate_embeddings"]

_UTC = pa.timestamp("us", tz="UTC")
_CLOCK_SKEW = timedelta(minutes=5)
_UNIT = 0.01
"""Largest deviation from 1 of a stored vector's norm; rounding to float16 alone causes .0005."""

_OF_ONE = embeddings_schema(1)

EMBEDDING_ROWS = pa.schema(
    [
        *(pa.field("vector", pa.binary(), nullable=False) if field.name == "vector" else field for field in _OF_ONE),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
    ]
)
"""`embeddings_schema` with vectors of any length, and two columns more.

`version` decides between rows of equal times: the higher one counts. A row with `deleted` is a tombstone: from then on
the image has no embedding; its `dim` and `norm` are 0, and its vector is empty.
"""

_OPTIONAL = ("created_at", "version", "deleted")


def validate_embeddings(table: pa.Table, *, now: datetime) -> pa.Table:
    """Check rows that are to be appended, and fill in what may be left out.

    Args:
        table: the columns of `embeddings_schema(dim)`. `created_at`, the time from which a row is known, is filled with
            `now`; `version` with 0, `deleted` with false. Vectors are little-endian float16 x dim, of norm 1.
        now: the time of the append, with a time zone.

    Returns:
        The same rows in the columns of `EMBEDDING_ROWS`, and no others.

    Raises:
        TableError: the message lists what is wrong: a missing or null column; a vector whose bytes are not 2 x dim,
            that is not finite or not of norm 1; a norm that is not above 0; two dimensions for one encoder; a time of
            creation in the future; two rows for one image, encoder, times and version.
    """
    optional = pa.schema([field.with_nullable(field.nullable or field.name in _OPTIONAL) for field in EMBEDDING_ROWS])
    table, problems = conform(table, optional)
    if problems:
        raise _error(problems)
    filled = {"created_at": pa.scalar(now, _UTC), "version": 0, "deleted": False}
    columns = {
        name: pc.fill_null(table[name], filled[name]) if name in filled else table[name] for name in optional.names
    }
    table = pa.table(columns, schema=EMBEDDING_ROWS)
    latest = pc.max(table["created_at"]).as_py()
    if latest is not None and latest > now + _CLOCK_SKEW:
        problems.append(f"created_at={latest.isoformat()}: later than now; leave it out, the append fills it in")
    live = table.filter(pc.invert(table["deleted"]))
    problems += _dimension_problems(live) or _vector_problems(live)
    buried = table.filter(table["deleted"])
    if pc.sum(pc.binary_length(buried["vector"])).as_py():
        problems.append("vector of a row with deleted=true: must be empty, with dim=0 and norm=0 (see `tombstones`)")
    problems += _repeated(table)
    if problems:
        raise _error(problems)
    return table


def tombstones(
    image_ids: Sequence[str], item_ids: Sequence[str], *, encoder_id: str, event_at: datetime | None
) -> pa.Table:
    """Rows which say that images have no embedding any longer.

    Args:
        image_ids: of the images.
        item_ids: their items, in the same order.
        encoder_id: the encoder whose embeddings end.
        event_at: since when; None for the time of the append.

    Returns:
        Rows for `validate_embeddings`.
    """
    count = len(image_ids)
    return pa.table(
        {
            "image_id": pa.array(image_ids, pa.string()),
            "item_id": pa.array(item_ids, pa.string()),
            "encoder_id": [encoder_id] * count,
            "content_hash": [""] * count,
            "event_at": pa.array([event_at] * count, _UTC),
            "dim": pa.array([0] * count, pa.int32()),
            "vector": pa.array([b""] * count, pa.binary()),
            "norm": pa.array([0.0] * count, pa.float32()),
            "deleted": [True] * count,
        }
    )


def _dimension_problems(live: pa.Table) -> list[str]:
    dims = live.group_by("encoder_id").aggregate([("dim", "min"), ("dim", "max")]).to_pylist()
    problems = [
        f"encoder_id={row['encoder_id']!r} has dim {row['dim_min']} and {row['dim_max']}; an encoder has one"
        for row in dims
        if row["dim_min"] != row["dim_max"]
    ]
    if problems:
        return problems
    wrong = pc.or_(pc.less(live["dim"], 1), pc.not_equal(pc.binary_length(live["vector"]), pc.multiply(live["dim"], 2)))
    if pc.any(wrong).as_py():
        row = live.filter(wrong).select(["image_id", "dim", "vector"]).slice(0, 1).to_pylist()[0]
        problems.append(
            f"image {row['image_id']!r}: {len(row['vector'])} bytes in column vector and dim={row['dim']}; a vector "
            "has 2 x dim bytes (float16), dim at least 1"
        )
    return problems


def _vector_problems(live: pa.Table) -> list[str]:
    """What is wrong with the numbers of rows whose lengths are right."""
    problems = []
    for dim in pc.unique(live["dim"]).to_pylist():
        rows = live.filter(pc.equal(live["dim"], dim))
        vectors = np.frombuffer(b"".join(rows["vector"].to_pylist()), "<f2").reshape(-1, dim).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1)
        bad = np.flatnonzero(~(np.abs(lengths - 1) <= _UNIT))
        if len(bad):
            image = rows["image_id"][int(bad[0])].as_py()
            problems.append(
                f"image {image!r}: a vector of norm {lengths[bad[0]]:.4g} ({len(bad)} such row(s)); stored vectors "
                "have norm 1, and column norm has the norm of before"
            )
    norms = live["norm"].to_numpy()
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(bad):
        image = live["image_id"][int(bad[0])].as_py()
        problems.append(f"image {image!r}: norm={norms[bad[0]]} ({len(bad)} such row(s)); must be finite and above 0")
    return problems


def _repeated(table: pa.Table) -> list[str]:
    keys = ["image_id", "encoder_id", "event_at", "created_at", "version"]
    counts = table.select(keys).group_by(keys).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if not twice.num_rows:
        return []
    image = twice["image_id"][0].as_py()
    return [
        f"image {image!r} has {twice['count_all'][0]} rows of equal times and version ({twice.num_rows} such image(s))"
    ]


def _error(problems: Sequence[str]) -> TableError:
    return TableError("embeddings table: " + "; ".join(problems))
