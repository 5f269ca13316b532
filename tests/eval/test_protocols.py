"""Each protocol against the slow reference, on small cases full of ties, missing values and own images."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.metrics import measure
from src.eval.protocol import Protocol
from src.eval.ranking import NEVER, rank_positives
from tests.eval.slow_reference import graded_ndcg, results_of

PROTOCOLS = [
    *(
        {"level": level, "aggregate": aggregate, "exclude": exclude}
        for level, aggregate, exclude in product(("item", "image"), ("best", "mean"), (None, "session"))
        if aggregate == "best" or (level, exclude) == ("item", None)
    ),
    {"gain": "linear", "grades": {"item_id": 4, "parent_id": 2, "category": 1, "session": 2}},
    {"grades": {"item_id": 1}, "metrics": {"graded_ndcg": (1, 3, 12)}},
    {"grades": {"item_id": 3, "colour": 1, "parent_id": 2}},
]


def random_case(rng: np.random.Generator, size: int, kind: int) -> tuple[Embedded, Embedded]:
    if kind == 0:
        pool = np.array([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y])
        vectors = pool[rng.integers(0, len(pool), size)] * rng.choice([0.5, 1, 3], (size, 1))
    elif kind == 1:
        vectors = np.ones((size, 3))
    else:
        vectors = rng.standard_normal((size, 5))
    numbers = rng.integers(0, int(rng.integers(1, 9)), size)
    attributes = {
        "parent_id": [None if n == 3 else f"parent-{n // 2}" for n in numbers],
        # An item's images don't always agree, or say nothing.
        "category": [None if rng.random() < 0.3 else f"category-{n % 3}" for n in numbers],
        "session": [None if rng.random() < 0.3 else f"session-{rng.integers(3)}" for _ in range(size)],
    }
    everything = Embedded(
        vectors.astype(np.float32),
        np.array([f"image-{n}" for n in range(size)], object),
        np.array([f"item-{n}" for n in numbers], object),
        pa.table({name: pa.array(values, pa.string()) for name, values in attributes.items()}),
    )
    queries = np.flatnonzero(rng.random(size) < 0.5)
    gallery = np.flatnonzero(rng.random(size) < rng.choice([0.4, 0.8, 1.0]))
    return tuple(everything.take(rows if len(rows) else np.array([0])) for rows in (queries, gallery))


def compare(queries: Embedded, gallery: Embedded, protocol: Protocol, memory_mb: int = 64) -> None:
    if protocol.exclude and None in (part.attribute(protocol.exclude) for part in (queries, gallery)):
        with pytest.raises(LookalikeError, match="nothing in it"):
            rank_positives(queries, gallery, protocol)
        return
    ranking = rank_positives(queries, gallery, protocol, memory_mb=memory_mb)
    values = measure(ranking, protocol)
    for query in range(len(queries)):
        results = results_of(query, queries, gallery, protocol)
        ranks = [place + 1 for place, result in enumerate(results) if result.hit]
        found = ranking.ranks[query][ranking.ranks[query] < NEVER].tolist()
        assert found == ranks[: len(found)]
        assert len(found) >= sum(rank <= max(len(ranks), protocol.depth) for rank in ranks)
        assert bool(found) == bool(ranks)
        assert ranking.positives[query] == len(ranks)
        counts = [sum(result.grade == level for result in results) for level in ranking.levels]
        assert ranking.level_counts[query].tolist() == counts
        shown = ranking.top_rows[query]
        assert (shown >= 0).sum() == min(len(results), protocol.depth)
        for place, result in enumerate(results[: protocol.depth]):
            assert abs(ranking.top_scores[query, place] - result.score) < 2e-6
            assert ranking.top_grades[query, place] == result.grade
        for row in shown[shown >= 0]:
            assert any(row in result.images for result in results)
        grades = [result.grade for result in results]
        for k in protocol.metrics.get("graded_ndcg", ()) if ranks else ():
            assert values[f"graded_ndcg@{k}"][query] == pytest.approx(graded_ndcg(grades, k, protocol.gain))


@pytest.mark.parametrize("settings", PROTOCOLS, ids=str)
def test_small_cases_agree_with_the_reference(settings: dict) -> None:
    rng = np.random.default_rng(0)
    for number in range(100):
        compare(*random_case(rng, int(rng.integers(1, 30)), number % 3), Protocol(**settings))


@pytest.mark.parametrize("settings", PROTOCOLS[:6], ids=str)
def test_galleries_beyond_the_first_search_agree_with_the_reference(settings: dict) -> None:
    rng = np.random.default_rng(1)
    for kind in range(3):
        queries, gallery = random_case(rng, 700, kind)
        compare(queries.take(np.arange(12)), gallery, Protocol(**settings))


def test_a_sequence_is_out_of_its_own_rankings_only() -> None:
    attributes = pa.table({"video": ["a", "a", "b", None]})
    vectors = np.array([[1, 0], [1, 0.01], [1, 0.5], [1, 0.2]], np.float32)
    everything = Embedded(vectors, np.array(list("pqrs"), object), np.array(["x"] * 4, object), attributes)
    ranking = rank_positives(everything, everything, Protocol(level="image", exclude="video"))
    # A null is no sequence: s finds all, and all find s.
    assert ranking.positives.tolist() == [2, 2, 3, 3]
    assert [sorted(row[row >= 0].tolist()) for row in ranking.top_rows] == [[2, 3], [2, 3], [0, 1, 3], [0, 1, 2]]
    with pytest.raises(LookalikeError, match="`exclude=film`: queries or gallery have no such column"):
        rank_positives(everything, everything, Protocol(exclude="film"))


def test_a_mean_leaves_the_query_s_own_image_out() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1]], np.float32)
    everything = Embedded(vectors, np.array(list("pqr"), object), np.array(["x", "x", "y"], object))
    ranking = rank_positives(everything, everything, Protocol(aggregate="mean"))
    # Without p itself, item x is q alone, at a right angle.
    assert ranking.ranks[0].tolist() == [2]
    assert ranking.top_rows[0, :2].tolist() == [2, 1]
    np.testing.assert_allclose(ranking.top_scores[0, :2], [0.9 / np.sqrt(0.82), 0.0], atol=1e-6)


@pytest.mark.parametrize("level", ["item", "image"])
def test_less_memory_gives_the_same_figures(level: str) -> None:
    rng = np.random.default_rng(2)
    queries, gallery = random_case(rng, 2000, 2)
    little, much = (evaluate_embedded(queries, gallery, Protocol(level=level), memory_mb=m) for m in (1, 512))
    # Not to the last bit: sums of another order differ by less than a tie.
    assert little.metrics == pytest.approx(much.metrics, abs=1e-4)
    same = (little.ranking.top_rows == much.ranking.top_rows).mean()
    assert same > 0.999
