"""First results, read from a table of queries written by hand."""

import json

import numpy as np
import pyarrow as pa

from src.eval.first_results import first_results
from tests.eval.query_tables import Query, make_table

QUERIES: list[Query] = [
    ("q1", "A1", 1, [("a", "A1", 0.9, 3), ("b", "B1", 0.7, 0), ("c", "C1", 0.1, 0)]),
    ("q2", "A2", 1, [("b", "B1", 0.8, 0), ("a", "A2", 0.6, 3)]),
    ("q3", "B1", 0, [("a", "A1", 0.9, 0), ("c", "C1", 0.5, 0)]),  # No positive: nothing can be right.
    ("q4", "C1", 1, [("c", "C1", 0.4, 3)]),  # One result: no distance to a second one.
    ("q5", "C1", 1, []),
    ("q6", "C2", 1, [("a", "A1", 0.5, 0), ("b", "B1", 0.5, 0)]),
]


def with_level(table: pa.Table, level: str) -> pa.Table:
    about = json.loads(table.schema.metadata[b"lookalike"])
    about["protocol"]["level"] = level
    return table.replace_schema_metadata({b"lookalike": json.dumps(about)})


def test_scores_rightness_and_the_first_stranger() -> None:
    found = first_results(with_level(make_table(QUERIES), "item"))
    assert found is not None
    np.testing.assert_allclose(found.first, [0.9, 0.8, 0.5], atol=1e-6)
    np.testing.assert_allclose(found.second, [0.7, 0.6, 0.5], atol=1e-6)
    assert found.right.tolist() == [True, False, False]
    # Without its own item, a query's first result is the second one where it was right.
    np.testing.assert_allclose(found.stranger, [0.7, 0.8, 0.5], atol=1e-6)
    assert list(found.products) == ["A", "A", "C"]


def test_sliced_and_empty_tables() -> None:
    table = with_level(make_table(QUERIES), "item")
    part = first_results(table.slice(1, 2))
    assert part is not None
    np.testing.assert_allclose(part.first, [0.8], atol=1e-6)
    nothing = first_results(table.slice(0, 0))
    assert nothing is not None
    assert len(nothing) == 0


def test_ranked_images_have_no_first_item() -> None:
    assert first_results(with_level(make_table(QUERIES), "image")) is None
