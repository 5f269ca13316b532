"""Point-in-time joins against a slow reference: late arrivals, corrections, ties, nulls, equal rows; both engines."""

from datetime import UTC, datetime, timedelta
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.contracts.errors import TableError
from src.pipelines.point_in_time import PointInTime, join_in_duckdb, join_in_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

UTC_TIME = pa.timestamp("us", tz="UTC")
START = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = pa.schema([("key", pa.string()), ("at", UTC_TIME), ("label", pa.int64())])
FACTS = pa.schema(
    [
        ("key", pa.string()),
        ("event_at", UTC_TIME),
        ("created_at", UTC_TIME),
        ("version", pa.int64()),
        ("deleted", pa.bool_()),
        ("value", pa.float64()),
        ("blob", pa.binary()),
    ]
)
JOIN = {"keys": ("key",), "at": "at", "columns": ("value", "blob"), "prefix": "fact_"}


def day(number: float | None) -> datetime | None:
    return None if number is None else START + timedelta(days=number)


def reference(labels: list[dict[str, Any]], facts: list[dict[str, Any]], join: PointInTime) -> list[dict[str, Any]]:
    """Look at every fact for every label."""
    return [{**label, **_answer(label, facts, join)} for label in labels]


def _answer(label: dict[str, Any], facts: list[dict[str, Any]], join: PointInTime) -> dict[str, Any]:
    def usable(fact: dict[str, Any]) -> bool:
        created = fact["created_at"]
        if None in (label["key"], label["at"], created) or fact["key"] != label["key"]:
            return False
        times = [fact["event_at"] or created] + ([] if join.hindsight else [created])
        return max(times) <= label["at"] and (join.as_of is None or created <= join.as_of)

    def order(fact: dict[str, Any]) -> list[Any]:
        version = None if join.version is None else fact["version"]
        tie = [version, fact["deleted"] if join.deleted else None, fact["value"], fact["blob"]]
        event = fact["event_at"] or fact["created_at"]
        return [event, fact["created_at"], *((value is not None, value) for value in tie)]

    best = max(filter(usable, facts), key=cmp_to_key(lambda a, b: _compare(order(a), order(b))), default=None)
    if best is None or (join.deleted and best["deleted"]):
        best = {}
    return {join.prefix + column: best.get(column) for column in join.columns}


def _compare(left: list[Any], right: list[Any]) -> int:
    """Lists whose equal places may both be None."""
    for one, other in zip(left, right, strict=True):
        if one != other:
            return 1 if one > other else -1
    return 0


def tables(labels: list[dict[str, Any]], facts: list[dict[str, Any]]) -> tuple[pa.Table, pa.Table]:
    return pa.Table.from_pylist(labels, LABELS), pa.Table.from_pylist(facts, FACTS)


_days = st.one_of(st.none(), st.integers(0, 4).map(day))
_keys = st.sampled_from(["a", "b", None])
_labels = st.lists(st.fixed_dictionaries({"key": _keys, "at": _days, "label": st.integers(0, 2)}), max_size=8)
_facts = st.lists(
    st.fixed_dictionaries(
        {
            "key": _keys,
            "event_at": _days,
            "created_at": _days,
            "version": st.sampled_from([None, 0, 1]),
            "deleted": st.sampled_from([False, False, True]),
            "value": st.sampled_from([None, -1.0, 0.5, 2.0]),
            "blob": st.sampled_from([None, b"", b"\x7f", b"\x80"]),
        }
    ),
    max_size=12,
)
_joins = st.builds(
    PointInTime,
    keys=st.just(("key",)),
    at=st.just("at"),
    columns=st.just(("value", "blob")),
    prefix=st.just("fact_"),
    version=st.sampled_from(["version", None]),
    deleted=st.sampled_from(["deleted", None]),
    hindsight=st.booleans(),
    as_of=st.sampled_from([None, START + timedelta(days=2)]),
)


@settings(max_examples=60, deadline=None)
@given(labels=_labels, facts=_facts, join=_joins)
def test_duckdb_equals_the_reference(
    labels: list[dict[str, Any]], facts: list[dict[str, Any]], join: PointInTime
) -> None:
    found = join_in_duckdb(*tables(labels, facts), join)
    assert found.to_pylist() == reference(labels, facts, join), "row for row, in the labels' order"


def test_spark_equals_duckdb(spark: "SparkSession") -> None:
    join = PointInTime(**JOIN, version="version", deleted="deleted", as_of=START + timedelta(days=3))
    rng = np.random.default_rng(1)

    def draw(count: int, **choices: list[Any]) -> list[dict[str, Any]]:
        return [{name: values[rng.integers(len(values))] for name, values in choices.items()} for _ in range(count)]

    keys, days = ["a", "b", "c", None], [day(number) for number in (0, 1, 2, 3, 4, None)]
    labels = [{**label, "label": number} for number, label in enumerate(draw(60, key=keys, at=days))]
    blobs = [None, b"", b"\x7f", b"\x80"]
    times = {"event_at": days, "created_at": days, "version": [None, 0, 1], "deleted": [False, False, True]}
    both = tables(labels, draw(80, key=keys, **times, value=[None, -1.0, 0.5, 2.0], blob=blobs))
    rows = join_in_spark(*map(spark.createDataFrame, both), join).toArrow().sort_by("label").to_pylist()
    assert rows == join_in_duckdb(*both, join).to_pylist()
    assert len({row["fact_value"] for row in rows}) == 4


def answers(facts: list[dict[str, Any]], days: list[float], **options: Any) -> list[float | None]:
    labels = [{"key": "a", "at": day(number), "label": 0} for number in days]
    empty = {"key": "a", "deleted": False}
    return join_in_duckdb(*tables(labels, [empty | fact for fact in facts]), PointInTime(**JOIN | options))[
        "fact_value"
    ].to_pylist()


def test_a_late_arrival_is_not_used_before_it_was_known() -> None:
    facts = [
        {"event_at": day(0), "created_at": day(0), "value": 0.0},
        {"event_at": day(1), "created_at": day(5), "value": 1.0},
        {"event_at": day(3), "created_at": day(3), "value": 3.0},
    ]
    assert answers(facts, [0.5, 2, 4, 6]) == [0.0, 0.0, 3.0, 3.0], "an older event does not replace a later one"
    assert answers(facts, [0.5, 2, 4, 6], hindsight=True) == [0.0, 1.0, 3.0, 3.0]


def test_a_correction_counts_from_its_creation() -> None:
    facts = [
        {"event_at": day(1), "created_at": day(1), "value": 1.0},
        {"event_at": day(1), "created_at": day(4), "value": 2.0},
    ]
    assert answers(facts, [0, 1, 3, 4, 9]) == [None, 1.0, 1.0, 2.0, 2.0]
    assert answers(facts, [9], as_of=day(2)) == [1.0], "the rows of then can be made again"


def test_versions_decide_ties_and_tombstones_end_facts() -> None:
    tied = {"event_at": day(1), "created_at": day(1)}
    facts = [{**tied, "version": version, "value": value} for version, value in ((1, 5.0), (2, 4.0), (0, 9.0))]
    assert answers(facts, [2], version="version") == [4.0]
    assert answers(facts, [2]) == [9.0], "without versions the greatest"
    end = {"event_at": day(2), "created_at": day(3), "deleted": True}
    assert answers([*facts, end], [2.5, 3], version="version", deleted="deleted") == [4.0, None]


def test_two_keys_and_names_that_need_quotes() -> None:
    utc = [day(1)]
    labels = pa.table({"a b": ["x", "x"], "order": [1, 2], "select": pa.array(utc * 2, UTC_TIME)})
    facts = pa.table(
        {
            "a b": ["x"], "order": [2], "event_at": pa.array(utc, UTC_TIME), "created_at": pa.array(utc, UTC_TIME),
            'say "so"': [7],
        }
    )  # fmt: skip
    join = PointInTime(keys=("a b", "order"), at="select", columns=('say "so"',), prefix="")
    assert join_in_duckdb(labels, facts, join)['say "so"'].to_pylist() == [None, 7]


def test_a_key_of_two_names() -> None:
    facts = pa.Table.from_pylist([{"key": "a", "event_at": day(0), "created_at": day(0), "value": 1.0}], FACTS)
    labels = pa.table({"asked": ["a", "b"], "key": ["b", "a"], "at": pa.array([day(1)] * 2, UTC_TIME)})
    join = PointInTime(**JOIN | {"keys": ("asked",), "fact_keys": ("key",)})
    assert join_in_duckdb(labels, facts, join)["fact_value"].to_pylist() == [1.0, None]


def test_times_of_other_zones_and_units() -> None:
    labels = pa.table({"key": ["a"], "at": pa.array([day(1)], pa.timestamp("ms", tz="Asia/Tokyo"))})
    facts = pa.Table.from_pylist([{"key": "a", "event_at": day(1), "created_at": day(1), "value": 1.0}], FACTS)
    assert join_in_duckdb(labels, facts, PointInTime(**JOIN))["fact_value"].to_pylist() == [1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": ("other",)}, "labels: no column 'other'; there are key, at, label"),
        ({"columns": ("price",)}, "facts: no column 'price'"),
        ({"at": "label"}, "labels: column 'label' is int64; times must be timestamps with a time zone"),
        ({"version": "value"}, "facts: column 'value' is double; it must be an integer"),
        ({"deleted": "version"}, "facts: column 'version' is int64; it must be boolean"),
        ({"prefix": "", "columns": ("key",)}, "column 'key' is a key"),
        ({"columns": ()}, "at least one key and one column"),
        ({"prefix": "la", "columns": ("bel",)}, "'label' of the result is one of labels already"),
    ],
)
def test_what_cannot_be_joined_is_said(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        join_in_duckdb(*tables([], []), PointInTime(**JOIN | change))


def test_keys_of_two_types_are_refused() -> None:
    labels = pa.table({"key": [1], "at": pa.array([day(1)], UTC_TIME)})
    with pytest.raises(TableError, match="'key' is int64 in labels and string in facts"):
        join_in_duckdb(labels, tables([], [])[1], PointInTime(**JOIN))
