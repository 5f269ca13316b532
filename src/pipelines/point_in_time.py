"""Point-in-time joins: to each label the fact that held at its time, of the facts that were known by then.

A fact holds since its event time, and is known since its time of creation. A label at time t gets, of its key's facts
with both times at or before t, the one of the latest event; of equal event times the one created last, a correction; of
equal times the one of the highest version. So a fact that arrives late is not used for labels before its arrival, and
does not replace facts of later events after it.

One SQL text runs in DuckDB and in Spark. A key's facts are ranked by (event time, creation, version). A fact can be
used from the later one of its two times on, so that the answer at t is the highest rank among the facts that can be
used by t: a running maximum over facts and labels in the order of time. All joins are by equality, and time grows as
n log n, also where one key has most of the facts.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from src.contracts.errors import TableError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["PointInTime", "join_in_duckdb", "join_in_spark", "point_in_time_sql"]

_OURS = "pit_"
_NUMBER = _OURS + "label"


@dataclass(frozen=True, kw_only=True)
class PointInTime:
    """What is joined, and how.

    Attributes:
        keys: the labels' columns by which facts are found, for instance `("image_id",)`. A label with a null key gets
            no fact.
        at: the labels' column of times, with a time zone. A label without a time gets no fact.
        columns: the facts' columns that labels get; null where no fact is found.
        prefix: of these columns' names in the result.
        fact_keys: the facts' names of the keys; None where they have the labels' names.
        event_at: the facts' column of event times. Where it is null, the fact holds since its creation.
        created_at: the facts' column of times of creation. A fact without one is never known.
        version: the facts' column that decides between equal times; None for none. Of facts that are equal in this as
            well, a tombstone is taken, else the one with the greatest `columns`, compared from left to right; nulls are
            the smallest.
        deleted: the facts' boolean column that marks tombstones; None for none. A label whose fact is a tombstone gets
            no fact.
        hindsight: uses facts from their event time on, even if they were not known yet. It shows what late arrivals
            change; a model trained on such rows has seen what serving cannot see.
        as_of: leaves out facts that were created later, so that the same rows can be made again; None leaves out none.
    """

    keys: tuple[str, ...]
    at: str
    columns: tuple[str, ...]
    prefix: str
    fact_keys: tuple[str, ...] | None = None
    event_at: str = "event_at"
    created_at: str = "created_at"
    version: str | None = None
    deleted: str | None = None
    hindsight: bool = False
    as_of: datetime | None = None


def point_in_time_sql(join: PointInTime, *, quote: str) -> str:
    """The query over the views `labels` and `facts`, in a session whose time zone is UTC.

    Args:
        join: what is joined.
        quote: what the engine puts around names: `"` or, for Spark, a backtick.

    Returns:
        One SELECT: the labels' columns, then the facts'; a row for each label.
    """

    def name(column: str) -> str:
        return quote + column.replace(quote, 2 * quote) + quote

    def names(table: str) -> str:
        return ", ".join(f"{table}.{name(key)}" for key in join.keys)

    def same_key(left: str, right: str) -> str:
        return " AND ".join(f"{left}.{name(key)} = {right}.{name(key)}" for key in join.keys)

    def same_version(left: str, right: str) -> str:
        times = [f"{left}.{time} = {right}.{time}" for time in ("pit_event", "pit_created")]
        return " AND ".join(
            [same_key(left, right), *times, f"{left}.pit_version IS NOT DISTINCT FROM {right}.pit_version"]
        )

    fact_keys = join.fact_keys or join.keys
    fact_key = ", ".join(f"{name(fact)} AS {name(key)}" for fact, key in zip(fact_keys, join.keys, strict=True))
    event, created = name(join.event_at), name(join.created_at)
    version = "0" if join.version is None else name(join.version)
    deleted = "FALSE" if join.deleted is None else name(join.deleted)
    known = [f"{created} IS NOT NULL", *(f"{name(key)} IS NOT NULL" for key in fact_keys)]
    if join.as_of is not None:
        known.append(f"{created} <= TIMESTAMP '{join.as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'")
    times = f"coalesce({event}, {created}) AS pit_event, {created} AS pit_created"
    identity = f"{fact_key}, {times}, {version} AS pit_version"
    payload = [name(column) for column in join.columns]
    # Only facts of equal times and version are compared by what they hold, which may be long.
    greatest = ", ".join(f"CASE WHEN pit_equal > 1 THEN {column} END DESC NULLS LAST" for column in payload)
    return f"""
WITH versions AS (
    SELECT {identity}, count(*) AS pit_equal FROM facts WHERE {" AND ".join(known)} GROUP BY ALL
), ranked AS (
    SELECT versions.*, row_number() OVER (
        PARTITION BY {names("versions")} ORDER BY pit_event, pit_created, pit_version NULLS FIRST
    ) AS pit_rank FROM versions
), moments AS (
    SELECT {names("ranked")}, {"pit_event" if join.hindsight else "greatest(pit_event, pit_created)"} AS pit_at,
        pit_rank, FALSE AS pit_asks FROM ranked
    UNION ALL
    SELECT DISTINCT {names("labels")}, {name(join.at)}, 0, TRUE FROM labels WHERE {name(join.at)} IS NOT NULL
), best AS (
    SELECT {names("moments")}, pit_at, pit_asks, max(pit_rank) OVER (
        PARTITION BY {names("moments")} ORDER BY pit_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS pit_rank FROM moments
), matched AS (
    SELECT {names("best")}, pit_at, pit_event, pit_created, pit_version, pit_equal FROM best
    JOIN ranked ON {same_key("best", "ranked")} AND best.pit_rank = ranked.pit_rank WHERE pit_asks
), candidates AS (
    SELECT {", ".join([identity, *payload])}, {deleted} AS pit_deleted FROM facts WHERE {" AND ".join(known)}
), wanted AS (
    SELECT DISTINCT {names("matched")}, pit_event, pit_created, pit_version, pit_equal FROM matched
), placed AS (
    SELECT candidates.*, row_number() OVER (
        PARTITION BY {names("candidates")}, candidates.pit_event, candidates.pit_created, candidates.pit_version
        ORDER BY pit_deleted DESC, {greatest}
    ) AS pit_place FROM candidates JOIN wanted ON {same_version("candidates", "wanted")}
), chosen AS (
    SELECT * FROM placed WHERE pit_place = 1 AND NOT pit_deleted
)
SELECT labels.*, {", ".join(f"chosen.{name(column)} AS {name(join.prefix + column)}" for column in join.columns)}
FROM labels
LEFT JOIN matched ON {same_key("labels", "matched")} AND labels.{name(join.at)} = matched.pit_at
LEFT JOIN chosen ON {same_version("matched", "chosen")}
"""  # noqa: S608  (names are quoted)


def join_in_duckdb(
    labels: pa.Table, facts: pa.Table | ds.Dataset, join: PointInTime, *, memory_limit: str | None = None
) -> pa.Table:
    """Join on this machine.

    Args:
        labels: rows with the keys and a time.
        facts: rows with the keys, two times and what is joined; read twice, the columns that are needed only.
        join: what is joined.
        memory_limit: of DuckDB, for instance "4GB"; it writes what is more to disk. None for 80 % of the memory.

    Returns:
        The labels in their order, with the facts' columns after theirs.

    Raises:
        TableError: a column is missing, has another type than it must have, or would be there twice.
    """
    _check(labels.schema, facts.schema, join)
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        if memory_limit is not None:
            engine.execute("SET memory_limit = ?", [memory_limit])
        numbers = pa.array(range(labels.num_rows), pa.int64())
        engine.register("labels", labels.append_column(_NUMBER, numbers))
        engine.register("facts", facts)
        query = point_in_time_sql(join, quote='"')
        return engine.sql(f"{query} ORDER BY labels.{_NUMBER}").to_arrow_table().drop_columns([_NUMBER])


def join_in_spark(labels: "DataFrame", facts: "DataFrame", join: PointInTime) -> "DataFrame":
    """Join in a Spark session whose time zone is UTC; see `join_in_duckdb`. The rows have no order.

    Raises:
        TableError: as `join_in_duckdb`; and the session's time zone is another one.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    session = labels.sparkSession
    zone = session.conf.get("spark.sql.session.timeZone")
    if zone != "UTC":
        raise TableError(f"spark.sql.session.timeZone={zone}: times are compared in UTC; set it to UTC")
    label_schema, fact_schema = (to_arrow_schema(frame.schema, timezone=zone) for frame in (labels, facts))
    _check(label_schema, fact_schema, join)
    query = point_in_time_sql(join, quote="`").replace("{", "{{").replace("}", "}}")
    sources = "WITH labels AS (SELECT * FROM {labels}), facts AS (SELECT * FROM {facts}),"
    return session.sql(query.replace("WITH", sources, 1), labels=labels, facts=facts)


def _check(labels: pa.Schema, facts: pa.Schema, join: PointInTime) -> None:
    """Raise `TableError` with all that keeps two tables from being joined."""
    problems = []
    times = {"labels": [join.at], "facts": [join.event_at, join.created_at]}
    optional = {"facts": {join.version: pa.types.is_integer, join.deleted: pa.types.is_boolean}}
    fact_keys = join.fact_keys or join.keys
    for where, schema, keys in (("labels", labels, join.keys), ("facts", facts, fact_keys)):
        needed = [*keys, *times[where], *(join.columns if where == "facts" else ())]
        named = [column for column in optional.get(where, {}) if column is not None]
        missing = [column for column in dict.fromkeys([*needed, *named]) if column not in schema.names]
        problems += [f"{where}: no column {column!r}; there are {', '.join(schema.names)}" for column in missing]
        for column in set(times[where]) - set(missing):
            kind = schema.field(column).type
            if not pa.types.is_timestamp(kind) or kind.tz is None:
                problems.append(f"{where}: column {column!r} is {kind}; times must be timestamps with a time zone")
        for column in set(named) - set(missing):
            kind = schema.field(column).type
            if not optional[where][column](kind):
                wanted = "an integer" if column == join.version else "boolean"
                problems.append(f"{where}: column {column!r} is {kind}; it must be {wanted}")
        problems += [
            f"{where}: column {column!r}: names that begin with {_OURS!r} are used inside of the join; rename it"
            for column in (schema.names if where == "labels" else needed)
            if column.startswith(_OURS)
        ]
    for key, fact_key in zip(join.keys, fact_keys, strict=True):
        if key not in labels.names or fact_key not in facts.names:
            continue
        types = [_kind(labels.field(key).type), _kind(facts.field(fact_key).type)]
        if types[0] != types[1]:
            problems.append(f"column {key!r} is {types[0]} in labels and {types[1]} in facts; keys must be of one type")
    twice = [join.prefix + column for column in join.columns if join.prefix + column in labels.names]
    problems += [f"column {column!r} of the result is one of labels already; choose another prefix" for column in twice]
    problems += [
        f"column {column!r} is a key: labels have it" for column in set(join.columns) & {*join.keys, *fact_keys}
    ]
    if not join.keys or not join.columns:
        problems.append("a join needs at least one key and one column")
    if problems:
        raise TableError("point-in-time join: " + "; ".join(problems))


def _kind(kind: pa.DataType) -> str:
    return "string" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
