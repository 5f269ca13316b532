"""Tables of queries written by hand, and random ones with everything that can go wrong in them."""

import json

import numpy as np
import pyarrow as pa

__all__ = ["Query", "make_table", "random_queries"]

# (image, item, positives, [(image, item, score, grade), ...])
Query = tuple[str, str, int, list[tuple[str, str, float, int]]]


def make_table(queries: list[Query], *, fingerprint: str = "f", name: str = "model") -> pa.Table:
    """As `src.eval.per_query` makes them; ranks are those among the listed results, else 50."""
    ranks = [
        next((place + 1 for place, result in enumerate(results) if result[1] == item), 50)
        for _, item, _, results in queries
    ]
    asked = [positives > 0 for _, _, positives, _ in queries]
    reciprocal = pa.array([1 / rank if ok else None for rank, ok in zip(ranks, asked, strict=True)], pa.float64())
    exact = pa.array([float(rank == 1) if ok else None for rank, ok in zip(ranks, asked, strict=True)], pa.float64())
    lists = {
        column: pa.array([[result[place] for result in query[3]] for query in queries], pa.list_(kind))
        for place, (column, kind) in enumerate(
            (
                ("result_image_ids", pa.string()),
                ("result_item_ids", pa.string()),
                ("result_scores", pa.float32()),
                ("result_grades", pa.int8()),
            )
        )
    }
    about = {
        "metrics": ["map@r", "mrr"],
        "fingerprint": fingerprint,
        "protocol": {"grades": {"item_id": 3, "parent_id": 2}},
        "name": name,
    }
    columns = {
        "image_id": pa.array([query[0] for query in queries], pa.string()),
        "item_id": pa.array([query[1] for query in queries], pa.string()),
        "product": pa.array([query[1][0] for query in queries], pa.string()),
        "positives": pa.array([query[2] for query in queries], pa.int64()),
        "map@r": exact,
        "mrr": reciprocal,
    }
    return pa.table(columns | lists).replace_schema_metadata({b"lookalike": json.dumps(about)})


def random_queries(rng: np.random.Generator, count: int) -> list[Query]:
    """Few items, so that pairs repeat; scores in steps of 0.1, so that they tie; lists of any length, none included."""
    items = [f"{product}{variant}" for product in "ABC" for variant in range(2)]
    queries: list[Query] = []
    for number in range(count):
        item = str(rng.choice(items))
        scores = sorted((round(float(score), 1) for score in rng.random(int(rng.integers(0, 7)))), reverse=True)
        results = []
        for place, score in enumerate(scores):
            found = str(rng.choice(items))
            grade = 3 if found == item else 2 if found[0] == item[0] else 0
            results.append((f"g{number}-{place}", found, score, grade))
        hits = any(found == item for _, found, _, _ in results)
        queries.append((f"q{number}", item, 1 if hits else int(rng.integers(0, 2)), results))
    return queries
