"""Cold start asks about new items only, and says when there are none."""

import contextlib
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import LookalikeError
from src.eval.cold_start import queries_listed_after
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.per_query import about_queries
from src.eval.protocol import Protocol
from tests.arrow_types import every_column


def part(images: str, items: str, days: list[int | None]) -> Embedded:
    dates = [None if day is None else datetime(2024, 6, day, tzinfo=UTC) for day in days]
    return Embedded(
        np.random.default_rng(len(images)).standard_normal((len(images), 3)).astype(np.float32),
        np.array(list(images), object),
        np.array(list(items), object),
        pa.table({"listed_at": pa.array(dates, pa.timestamp("us", tz="UTC"))}),
    )


COLUMNS = every_column(3)
QUERIES = part("pqrs", "wxyz", [None, 9, 20, None])
GALLERY = part("abcde", "wwxyy", [12, 15, 10, 11, None])


@pytest.mark.parametrize(
    ("date", "rows"),
    [
        # The first date that is known of an item counts, wherever it stands: w 12th, x 9th, y 11th; z has none.
        ("2024-06-08", [0, 1, 2]),
        ("2024-06-09", [0, 2]),
        ("2024-06-08T23:59:59+00:00", [0, 1, 2]),
        ("2024-06-11", [0]),
    ],
)
def test_items_listed_after_a_date_are_asked_about(date: str, rows: list[int]) -> None:
    assert queries_listed_after(QUERIES, GALLERY, date).tolist() == rows


@pytest.mark.parametrize("name", COLUMNS)
def test_times_of_each_type_are_read_or_refused_by_their_type(name: str) -> None:
    column = COLUMNS[name]
    images = Embedded(QUERIES.vectors[:3], QUERIES.image_ids[:3], QUERIES.item_ids[:3], pa.table({"listed_at": column}))
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        found = queries_listed_after(images, images, "1969-12-31").tolist()
        assert found == [row for row in range(3) if column.slice(row, 1).null_count == 0]
    else:
        # Integers count microseconds, as Arrow reads them; all other types have no time.
        with contextlib.suppress(LookalikeError):
            queries_listed_after(images, images, "1969-12-31")


def test_the_gallery_stays_whole_and_the_protocol_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        evaluation = evaluate_embedded(QUERIES, GALLERY, Protocol(listed_after="2024-06-09"))
    assert evaluation.per_query["image_id"].to_pylist() == ["p", "r"]
    assert len(evaluation.gallery) == 5
    assert about_queries(evaluation.per_query)["protocol"]["listed_after"] == "2024-06-09"
    assert "2 of 4 queries are of items listed after 2024-06-09" in caplog.text


def test_nothing_new_and_nothing_known_are_errors() -> None:
    with pytest.raises(LookalikeError, match="no query's item was listed after it; the latest was at 2024-06-12"):
        queries_listed_after(QUERIES, GALLERY, "2025-01-01")
    bare = Embedded(QUERIES.vectors, QUERIES.image_ids, QUERIES.item_ids)
    with pytest.raises(LookalikeError, match="no image has a listed_at"):
        queries_listed_after(bare, bare, "2025-01-01")
