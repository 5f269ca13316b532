"""Filters read from text, by the type of the column."""

import datetime

import pyarrow as pa
import pytest

from src.contracts.errors import FilterError
from src.index.filters import AnyOf, Between
from src.search.conditions import read_condition

UTC = datetime.UTC
STRING, CODED = pa.large_string(), pa.dictionary(pa.int8(), pa.large_string())
TIME, LOCAL = pa.timestamp("us", "UTC"), pa.timestamp("us")


@pytest.mark.parametrize(
    ("kind", "texts", "expected"),
    [
        (STRING, ["a"], AnyOf("c", frozenset({"a"}))),
        (CODED, ["a", "5..7", "", "a", "q\"'/ü"], AnyOf("c", frozenset({"a", "5..7", "", "q\"'/ü"}))),
        (pa.bool_(), ["true"], AnyOf("c", frozenset({True}))),
        (pa.bool_(), ["False", "1"], AnyOf("c", frozenset({True, False}))),
        (pa.bool_(), ["0"], AnyOf("c", frozenset({False}))),
        (pa.float64(), ["5"], Between("c", 5, 5)),
        (pa.float64(), ["-.5..+1e2"], Between("c", -0.5, 100.0)),
        (pa.float32(), ["..7.25"], Between("c", None, 7.25)),
        (pa.float64(), ["7. .."], Between("c", 7.0, None)),
        (pa.int64(), [" 3 .. 9 "], Between("c", 3, 9)),
        (pa.int64(), [str(2**53 + 1)], Between("c", 2**53 + 1, 2**53 + 1)),
        (pa.int8(), ["-1..2.5"], Between("c", -1, 2.5)),
        (pa.date32(), ["2024-02-29"], Between("c", datetime.date(2024, 2, 29), datetime.date(2024, 2, 29))),
        (pa.date32(), ["..20240229"], Between("c", None, datetime.date(2024, 2, 29))),
        (TIME, ["2024-02-29T10:00Z.."], Between("c", datetime.datetime(2024, 2, 29, 10, tzinfo=UTC), None)),
        (
            TIME,
            ["2024-02-29T10:00+02:00..2024-02-29T08:00:00.5Z"],
            Between(
                "c",
                datetime.datetime(2024, 2, 29, 8, tzinfo=UTC),
                datetime.datetime(2024, 2, 29, 8, 0, 0, 500_000, UTC),
            ),
        ),
        (LOCAL, ["2024-02-29"], Between("c", datetime.datetime(2024, 2, 29), datetime.datetime(2024, 2, 29))),
    ],
)
def test_texts_are_read(kind: pa.DataType, texts: list[str], expected: AnyOf | Between) -> None:
    assert read_condition("c", kind, texts) == expected


NUMBER = "must be a finite number, such as 9.5, or a range"


@pytest.mark.parametrize(
    ("kind", "texts", "message"),
    [
        (STRING, [], "`c`: no value; give at least one"),
        (pa.bool_(), ["yes"], "`c`: 'yes' must be one of true, 1, false, 0"),
        (pa.bool_(), ["true", ""], "`c`: '' must be one of"),
        *(
            (pa.float64(), [text], f"`c`: '{text}' {NUMBER}")
            for text in ("nan", "inf", "1_000", "0x1", "1e999", "", "²", "٣", "1,5")
        ),
        (pa.int64(), ["5..-inf"], f"'-inf' {NUMBER}"),
        (pa.int64(), ["1...2"], "the low end is above the high end"),
        (pa.float64(), ["9..5"], "in '9..5' the low end is above the high end; exchange them"),
        (pa.float64(), [".."], "'..' has neither end; give LOW..HIGH, LOW.. or ..HIGH"),
        (pa.float64(), ["1", "2"], "2 values; give one VALUE or one range LOW..HIGH"),
        (pa.date32(), ["2024-02-30"], "'2024-02-30' must be a date in ISO 8601"),
        (pa.date32(), ["2024-02-03T00:00"], "must be a date in ISO 8601"),
        (TIME, ["2024-02-03"], "must be a time in ISO 8601 with a time zone, such as"),
        (TIME, ["yesterday"], "must be a time in ISO 8601 with a time zone"),
        (LOCAL, ["2024-02-03T00:00Z"], "without a time zone"),
    ],
)
def test_what_cannot_be_read_names_column_value_and_rule(kind: pa.DataType, texts: list[str], message: str) -> None:
    with pytest.raises(FilterError) as caught:
        read_condition("c", kind, texts)
    assert "filter on `c`" in str(caught.value)
    assert message in str(caught.value)
