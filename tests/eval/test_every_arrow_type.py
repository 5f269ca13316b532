"""Columns of each of Arrow's types beside the vectors: sliced or skipped, and the report is written."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import ConfigError, LookalikeError
from src.eval.confidence import confidence_metrics
from src.eval.embedded import Embedded
from src.eval.evaluation import Evaluation, evaluate_embedded
from src.eval.hard_cases import hard_cases
from src.eval.per_query import about_queries, read_queries, write_queries
from src.eval.protocol import Protocol
from src.eval.relevance import column_codes
from src.eval.report.build import write_report
from src.eval.slice_columns import default_columns, slice_values
from src.eval.slices import print_slices, slice_queries, write_slices
from tests.arrow_types import every_column

ROWS = 40
COLUMNS = every_column(ROWS)
SLICED = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_boolean,
    pa.types.is_timestamp,
    pa.types.is_date,
)


def chunked(array: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([array[:7], array[7:]], array.type)


def values_of(kind: pa.DataType) -> pa.DataType:
    """The type of the values, without their encoding."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind == pa.uuid() else values_of(kind.storage_type)
    return values_of(kind.value_type) if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) else kind


def embedded(columns: dict[str, pa.Array]) -> Embedded:
    rng = np.random.default_rng(7)
    ids = np.array([f"i{n}" for n in range(ROWS)], object)
    items = np.array([f"p{n // 4}" for n in range(ROWS)], object)
    attributes = pa.table({name: chunked(array) for name, array in columns.items()})
    return Embedded(rng.normal(size=(ROWS, 8)).astype(np.float32), ids, items, attributes)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    images = embedded(COLUMNS)
    return evaluate_embedded(images.take(np.arange(ROWS)[::-1]), images)


def test_the_columns_cover_all_types_that_arrow_has() -> None:
    known = {name: getattr(pa.lib, name) for name in dir(pa.lib) if name.startswith("Type_")}
    covered = {array.type.id for array in COLUMNS.values()}
    # Two intervals that have no factory in Python.
    assert {name for name, number in known.items() if number not in covered} == {
        "Type_INTERVAL_MONTHS",
        "Type_INTERVAL_DAY_TIME",
    }


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_each_type_is_sliced_by_its_values_or_refused_by_its_name(name: str) -> None:
    column = chunked(COLUMNS[name])
    kind = values_of(column.type)
    if not (any(check(kind) for check in SLICED) or pa.types.is_null(kind)):
        with pytest.raises(ConfigError, match=r"column x holds .*; give columns of plain values"):
            slice_values(column, "x")
        return
    words, codes = slice_values(column, "x")
    assert codes.shape == (ROWS,)
    assert len(set(words)) == len(words)
    assert sorted({*codes.tolist()} - {-1}) == list(range(len(words)))
    if "ns" in str(kind):  # Python has no nanoseconds.
        return
    values = column.to_pylist()
    assert (codes == -1).tolist() == [value is None or value != value for value in values]
    if pa.types.is_integer(kind) and "64" in str(kind) and column.type == kind:
        assert set(words) == {str(value) for value in values if value is not None}
    elif pa.types.is_integer(kind) and len(words) == 4:
        # Quarters of the queries, in the order of the values.
        ordered = sorted(np.flatnonzero(codes >= 0), key=values.__getitem__)
        assert (np.diff(codes[ordered]) >= 0).all()
        assert np.ptp(np.bincount(codes[ordered])) <= 1


def test_default_slices_skip_the_others_in_one_line(evaluation: Evaluation, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    columns = default_columns(evaluation.per_query)
    lines = [record.getMessage() for record in caplog.records if "no slices by" in record.getMessage()]
    assert len(lines) == 1
    for name, array in COLUMNS.items():
        kind = values_of(array.type)
        sliced = any(check(kind) for check in SLICED)
        stored = name in evaluation.per_query.column_names
        assert (name in columns) == sliced, name
        assert (f"{name} (" in lines[0]) == (stored and not sliced and name != "null"), name


def write_all(evaluation: Evaluation, folder: Path) -> str:
    """Write what evaluate.py writes after metrics.json, and return the report."""
    write_queries(evaluation.per_query, folder / "queries.parquet", name="x", split=None, method=None, seed=None)
    slices, names = slice_queries(evaluation.per_query), about_queries(evaluation.per_query)["metrics"]
    write_slices(slices, names, folder / "slices.parquet")
    print_slices(slices, names[0], shown=len(slices))
    write_report(
        folder / "report.html",
        title="every type",
        evaluation=evaluation,
        metrics=evaluation.metrics | confidence_metrics(evaluation),
        slices=slices,
        hard_cases=hard_cases(evaluation.per_query),
        confidence=0.95,
        config={},
    )
    return (folder / "report.html").read_text()


def test_the_report_and_all_files_are_written_whatever_the_columns_are(evaluation: Evaluation, tmp_path: Path) -> None:
    assert "every type" in write_all(evaluation, tmp_path)
    read = read_queries(tmp_path / "queries.parquet")
    assert {*COLUMNS} - {*read.column_names} == {"month_day_nano_interval", "dense_union", "sparse_union"}


def test_a_slice_without_a_positive_is_written(tmp_path: Path) -> None:
    images = embedded({"color": pa.array(["lonely"] * 4 + ["other"] * (ROWS - 4))})
    evaluation = evaluate_embedded(images, images.take(np.arange(4, ROWS)))
    assert "lonely" in write_all(evaluation, tmp_path)


@pytest.mark.parametrize("name", COLUMNS)
def test_each_type_excludes_and_grades_or_is_refused_by_its_name(name: str) -> None:
    images = embedded({"session": COLUMNS[name]})
    kind = values_of(COLUMNS[name].type)
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        with pytest.raises(LookalikeError, match=r"column 'session' holds .*cannot be compared"):
            column_codes(images, images, "session")
        return
    found = column_codes(images, images, "session")
    if pa.types.is_null(kind):
        assert found is None
        return
    codes, values = found[0], COLUMNS[name].to_pylist()
    if "ns" in str(kind):  # Python has no nanoseconds.
        column = COLUMNS[name].dictionary_decode() if pa.types.is_dictionary(COLUMNS[name].type) else COLUMNS[name]
        values = column.cast(pa.int64()).to_pylist()
    assert (codes == found[1]).all()
    for row, value in enumerate(values):
        assert (codes[row] == -1) == (value is None or value != value)
        assert codes[row] == -1 or (codes == codes[row]).tolist() == [other == value for other in values]


def test_nan_is_no_session_that_images_share() -> None:
    nan = pa.array([float("nan")] * (ROWS - 1) + [1.0])
    images, none = embedded({"session": nan}), embedded({})
    excluded = evaluate_embedded(images, images, Protocol(exclude="session"))
    assert excluded.metrics["recall@1"] == evaluate_embedded(none, none).metrics["recall@1"]
    assert excluded.metrics["queries_without_positives"] == 0
