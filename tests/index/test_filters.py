"""Filters against a row-by-row reference in Python."""

import datetime
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import FilterError
from src.index.coded_strings import code_strings, is_string
from src.index.filters import AnyOf, Between, FilterColumns

UTC = datetime.UTC
DAY = datetime.datetime(2024, 5, 1, tzinfo=UTC)


def table(rows: int, seed: int = 0) -> pa.Table:
    draw = random.Random(seed)

    def column(make, nulls: float = 0.2) -> list:
        return [None if draw.random() < nulls else make() for _ in range(rows)]

    return pa.table(
        {
            # One value is frequent, many are rare, one is empty.
            "brand": pa.array(column(lambda: draw.choice(["big"] * 50 + ["", *map(str, range(90))])), pa.string()),
            "color": pa.array(column(lambda: draw.choice("rgb"), 0.0), pa.string()).dictionary_encode(),
            "in_stock": pa.array(column(lambda: draw.random() < 0.7), pa.bool_()),
            "price": pa.array(column(lambda: draw.choice([-1.0, 0.0, 5.0, float("nan"), float("inf")])), pa.float64()),
            "size": pa.array(column(lambda: draw.randint(-3, 3)), pa.int16()),
            "weight": pa.array(column(lambda: 2**60 + draw.randint(0, 3)), pa.int64()),
            "listed_at": pa.array(
                column(lambda: DAY + datetime.timedelta(hours=draw.randint(-9, 9))), pa.timestamp("s", "UTC")
            ),
            "day": pa.array(column(lambda: datetime.date(1969, 12, draw.randint(28, 31))), pa.date32()),
            "nothing": pa.nulls(rows, pa.string()),
            "tags": pa.array([["a"]] * rows, pa.list_(pa.string())),
        }
    )


def coded(made: pa.Table) -> pa.Table:
    """The table as `items.arrow` holds it: strings that repeat are coded."""
    for place, field in enumerate(made.schema):
        if is_string(field.type):
            made = made.set_column(place, field.name, code_strings(made[field.name]))
    return made


STORED = pytest.mark.parametrize("stored", [lambda made: made, coded], ids=["plain", "coded"])

CONDITIONS = [
    AnyOf("brand", frozenset({"big"})),
    AnyOf("brand", frozenset({"big", "3", "17", "", "unheard of"})),
    AnyOf("brand", frozenset({"4"})),
    AnyOf("brand", frozenset()),
    # More values than are compared one by one.
    AnyOf("brand", frozenset(map(str, range(0, 200, 2)))),
    AnyOf("color", frozenset("rg")),
    AnyOf("in_stock", frozenset({True})),
    AnyOf("in_stock", frozenset({True, False})),
    AnyOf("nothing", frozenset({"x"})),
    Between("price", 0.0),
    Between("price", None, 5.0),
    Between("price"),
    Between("size", -1, 1),
    Between("size", 2.5, 10**30),
    Between("weight", 2**60 + 1, 2**60 + 2),
    Between("listed_at", DAY, DAY + datetime.timedelta(hours=3)),
    Between("listed_at", DAY + datetime.timedelta(milliseconds=1)),
    Between("listed_at", None, DAY.astimezone(datetime.timezone(datetime.timedelta(hours=5)))),
    Between("day", datetime.date(1969, 12, 29), datetime.date(1969, 12, 30)),
]


def meets(row: dict, condition: AnyOf | Between) -> bool:
    value = row[condition.column]
    if value is None or value != value:
        return False
    if isinstance(condition, AnyOf):
        return value in condition.values
    return (condition.low is None or value >= condition.low) and (condition.high is None or value <= condition.high)


@STORED
@pytest.mark.parametrize("rows", [0, 1, 7, 500])
def test_each_condition_passes_the_rows_that_meet_it(rows: int, stored) -> None:
    made = table(rows)
    columns, listed = FilterColumns(stored(made)), made.to_pylist()
    for condition in CONDITIONS:
        # Twice: the second time from what the first has cached.
        for _ in range(2):
            mask = columns.mask([condition])
            assert mask is not None
            assert mask.dtype == bool
            assert mask.tolist() == [meets(row, condition) for row in listed], condition


@STORED
def test_all_conditions_must_be_met_and_masks_are_the_caller_s_own(stored) -> None:
    made = table(800, seed=1)
    columns, listed = FilterColumns(stored(made)), made.to_pylist()
    draw = random.Random(2)
    for _ in range(60):
        chosen = draw.sample(CONDITIONS, draw.randint(1, 4))
        mask = columns.mask(chosen)
        assert mask is not None
        assert mask.tolist() == [all(meets(row, condition) for condition in chosen) for row in listed]
        mask[:] = True
    assert columns.mask([]) is None


@STORED
def test_chunked_and_sliced_columns_are_read_whole(stored) -> None:
    whole = pa.concat_tables([stored(table(40)), stored(table(60, seed=3))])
    for made in (whole.slice(5, 80), stored(table(60)).slice(13, 41)):
        columns, listed = FilterColumns(made), made.to_pylist()
        for condition in CONDITIONS:
            mask = columns.mask([condition])
            assert mask is not None
            assert mask.tolist() == [meets(row, condition) for row in listed], condition


def test_a_mapped_column_is_read_where_it_is(tmp_path: Path) -> None:
    made = coded(table(100_000))
    with pa.ipc.new_file(tmp_path / "rows", made.schema) as writer:
        writer.write_table(made, max_chunksize=len(made))
    mapped = pa.ipc.open_file(pa.memory_map(str(tmp_path / "rows"))).read_all()
    before = pa.total_allocated_bytes()
    columns = FilterColumns(mapped)
    for condition in CONDITIONS:
        # Times in seconds are brought to Python's microseconds.
        if condition.column != "listed_at":
            columns.mask([condition])
    assert pa.total_allocated_bytes() - before < 100_000


def test_values_may_be_given_as_a_list() -> None:
    asked = AnyOf("color", ["r", "g"])  # type: ignore[arg-type]
    assert asked == AnyOf("color", frozenset("rg"))
    columns = FilterColumns(table(50))
    np.testing.assert_array_equal(columns.mask([asked]), columns.mask([AnyOf("color", frozenset("rg"))]))


def test_masks_that_are_kept_are_not_mixed_up() -> None:
    made = table(1000)
    columns, listed = FilterColumns(made), made.to_pylist()
    conditions = [AnyOf("brand", frozenset({str(number), "big"})) for number in range(90)]
    for condition in [*conditions, *conditions[::-1]]:
        mask = columns.mask([condition])
        assert mask is not None
        assert mask.tolist() == [meets(row, condition) for row in listed]


@STORED
def test_threads_that_ask_for_the_first_time_at_once_agree(stored) -> None:
    made = stored(table(5000))
    expected = [FilterColumns(made).mask([condition]) for condition in CONDITIONS]
    columns = FilterColumns(made)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for mask, true in zip(pool.map(lambda c: columns.mask([c]), CONDITIONS), expected, strict=True):
                np.testing.assert_array_equal(mask, true)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (AnyOf("colour", frozenset("r")), "`colour`: no such column; there are brand, color"),
        (AnyOf("tags", frozenset("a")), "`tags`: no such column"),
        (AnyOf("price", frozenset("5")), "`price`: it holds numbers; give a range with Between"),
        (Between("brand", 1, 2), "`brand`: it holds strings, which has no range; use AnyOf"),
        (AnyOf("in_stock", frozenset({"yes"})), "`in_stock`: it holds booleans, 'yes' is str"),
        (AnyOf("color", frozenset({True})), "`color`: it holds strings, True is bool"),
        (Between("price", float("nan")), "`price`: it holds numbers, nan is none that compares"),
        (Between("size", True), "`size`: it holds numbers, True is none"),
        (Between("listed_at", datetime.datetime(2024, 5, 1)), "does not compare; give it a time zone"),
        (Between("listed_at", 3), "`listed_at`: it holds times, 3 is int"),
        (Between("day", DAY), "`day`: it holds dates, .* is datetime"),
    ],
)
@STORED
def test_what_cannot_be_asked_is_refused_by_name(condition: AnyOf | Between, message: str, stored) -> None:
    with pytest.raises(FilterError, match=message):
        FilterColumns(stored(table(20))).mask([condition])


@STORED
def test_a_misspelt_value_is_told_what_exists(stored) -> None:
    columns = FilterColumns(stored(table(500)))
    columns.check_values([AnyOf("brand", frozenset({"big"})), Between("price", 1.0)])
    with pytest.raises(
        FilterError, match=re.escape("`brand`: no row has 'bigg'; of its 83 value(s), the nearest: 'big'")
    ):
        columns.check_values([AnyOf("brand", frozenset({"big", "bigg"}))])
    with pytest.raises(FilterError, match="only nulls"):
        columns.check_values([AnyOf("nothing", frozenset({"x"}))])
    # A value of the dictionary that the slice's rows do not have.
    half = FilterColumns(pa.table({"color": pa.array(["r", "g", "g"]).dictionary_encode()}).slice(1))
    with pytest.raises(FilterError, match="no row has 'r'; of its 1 value"):
        half.check_values([AnyOf("color", frozenset("r"))])
