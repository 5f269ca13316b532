"""Values of a column against Python's own counting."""

import datetime
import math
import random
from collections import Counter

import pyarrow as pa
import pytest

from src.index.coded_strings import code_strings
from src.index.filters import FilterColumns
from src.search.conditions import read_condition
from src.search.values import column_values, price_range

MOMENT = datetime.datetime(2024, 5, 1, 7, tzinfo=datetime.UTC)
DRAWS = {
    "strings": (pa.string(), [None, "", "a", "b", "é", '"'], str),
    "booleans": (pa.bool_(), [None, True, False], lambda value: str(value).lower()),
    "integers": (pa.int16(), [None, -3, 0, 200], str),
    "floats": (pa.float64(), [None, 0.5, -1.0, math.nan, math.inf], str),
    "half floats": (pa.float16(), [None, 0.5, -1.0, math.nan, math.inf], str),
    "dates": (pa.date32(), [None, MOMENT.date()], datetime.date.isoformat),
    "times": (pa.timestamp("us", "UTC"), [None, MOMENT], datetime.datetime.isoformat),
}


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("rows", [0, 1, 500])
def test_values_are_counted_and_can_be_asked_for(kind: str, rows: int) -> None:
    draw = random.Random(rows)
    arrow, choices, text = DRAWS[kind]
    values = [draw.choice(choices) for _ in range(rows)]
    column = pa.chunked_array([pa.array(values, arrow)])
    found = column_values(column)
    finite = [
        value for value in values if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    ]
    counted = sorted(Counter(finite).items(), key=lambda pair: (-pair[1], pair[0]))
    assert found.counts == [(text(value), count) for value, count in counted]
    assert found.distinct == len(counted)
    columns = FilterColumns(pa.table({"c": column}))
    for value, count in found.counts:
        mask = columns.mask([read_condition("c", arrow, [value])])
        assert mask is not None
        assert mask.sum() == count


@pytest.mark.parametrize("coded", [False, True])
def test_only_the_most_frequent_200_are_given(coded: bool) -> None:
    draw = random.Random(0)
    values = [f"{draw.randrange(400):03d}" for _ in range(3000)]
    column = pa.chunked_array([values])
    found = column_values(pa.chunked_array([code_strings(column)]) if coded else column)
    assert found.counts == sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))[:200]
    assert found.distinct == len(set(values))


def test_prices_span_what_is_finite() -> None:
    assert price_range(pa.chunked_array([[None, 3.0, math.nan], [math.inf, -1.0]])) == (-1.0, 3.0)
    assert price_range(pa.chunked_array([[None, math.nan]])) is None
    assert price_range(pa.chunked_array([pa.array([], pa.float64())])) is None
