"""Ranks and metrics against a slow reference that sorts one list a query."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.metrics import (
    average_precision_at_k,
    average_precision_at_r,
    measure,
    ndcg_at_k,
    summarise,
)
from src.eval.protocol import Protocol
from src.eval.ranking import NEVER, rank_positives

KS = (1, 2, 3, 5, 10)
IMAGE = Protocol(level="image")


def embedded(vectors: np.ndarray, images: list, items: list) -> Embedded:
    return Embedded(np.asarray(vectors, np.float32), np.array(images, object), np.array(items, object))


def hits_of(query: int, queries: Embedded, gallery: Embedded, level: str) -> list[int]:
    """1 and 0 from the best result to the worst; misses come before a hit that is no better by 1e-6."""
    q = queries.vectors[query].astype(np.float64)
    results: dict[object, tuple[float, int]] = {}
    for row in range(len(gallery)):
        if gallery.image_ids[row] == queries.image_ids[query]:
            continue
        g = gallery.vectors[row].astype(np.float64)
        score = float(q @ g / np.sqrt((q @ q) * (g @ g)))
        hit = int(gallery.item_ids[row] == queries.item_ids[query])
        unit = gallery.item_ids[row] if level == "item" else row
        results[unit] = max(results.get(unit, (score, hit)), (score, hit))
    return [hit for _, hit in sorted(results.values(), key=lambda result: (result[1] * 1e-6 - result[0], result[1]))]


def by_hand(hits: list[int]) -> dict[str, float]:
    total = sum(hits)
    precision = [sum(hits[: place + 1]) / (place + 1) for place in range(len(hits))]
    values = {"precision@r": sum(hits[:total]) / total if total else 0.0}
    values |= {"rr": next((1 / (place + 1) for place, hit in enumerate(hits) if hit), 0.0)}
    for k in KS:
        values[f"recall@{k}"] = float(any(hits[:k]))
        values[f"precision@{k}"] = sum(hits[:k]) / k
        values[f"ap@{k}"] = sum(p for p, hit in zip(precision[:k], hits[:k], strict=True) if hit) / min(total, k)
        gain = sum(hit / np.log2(place + 2) for place, hit in enumerate(hits[:k]))
        values[f"ndcg@{k}"] = gain / sum(1 / np.log2(place + 2) for place in range(min(total, k)))
    values["ap@r"] = sum(p for p, hit in zip(precision[:total], hits[:total], strict=True) if hit) / total
    return values


def compare(queries: Embedded, gallery: Embedded, level: str) -> None:
    protocol = Protocol(level=level, metrics=dict.fromkeys(("recall", "precision", "map", "ndcg"), KS))
    ranking = rank_positives(queries, gallery, protocol)
    values_of = measure(ranking, protocol)
    names = {f"{name}@{k}": f"{other}@{k}" for name, other in (("recall",) * 2, ("precision",) * 2) for k in KS}
    names |= {f"map@{k}": f"ap@{k}" for k in KS} | {f"ndcg@{k}": f"ndcg@{k}" for k in KS}
    names |= {"map@r": "ap@r", "r_precision": "precision@r", "mrr": "rr"}
    sums: dict[str, list[float]] = {}
    for query in range(len(queries)):
        hits = hits_of(query, queries, gallery, level)
        expected = [place + 1 for place, hit in enumerate(hits) if hit]
        ranks = ranking.ranks[query]
        # The first is exact, and so are all that decide a metric.
        deepest = max(len(expected), protocol.depth)
        ranked = ranks[ranks < NEVER].tolist()
        assert ranked == expected[: len(ranked)]
        assert len(ranked) >= max(sum(rank <= deepest for rank in expected), min(len(expected), 1))
        assert ranking.positives[query] == len(expected)
        if not expected:
            continue
        values = by_hand(hits)
        for name, value in values.items():
            sums.setdefault(name, []).append(value)
        for name, ours in names.items():
            assert math.isclose(values_of[name][query], values[ours], abs_tol=1e-12), name
    if not sums:
        with pytest.raises(LookalikeError, match="has a positive in the gallery: nothing to measure"):
            summarise(values_of, ranking.positives)
        return
    metrics = summarise(values_of, ranking.positives)
    for name, ours in names.items():
        assert metrics[name] == pytest.approx(np.mean(sums[ours]))
    assert metrics["queries"] == len(sums["rr"])
    assert metrics["queries_without_positives"] == len(queries) - len(sums["rr"])
    assert set(metrics) == {*names, "queries", "queries_without_positives"}


def discrete_case(rng: np.random.Generator) -> tuple[Embedded, Embedded]:
    """Few vectors, few items, shared images: ties, own images and missing positives in most cases."""
    kind = rng.integers(3)
    size = int(rng.integers(1, 25))
    if kind == 0:
        pool = np.array([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y])
    elif kind == 1:
        pool = rng.choice([-1, 1], (6, 4))
    else:
        pool = np.ones((1, 3))
    vectors = pool[rng.integers(0, len(pool), size)] * rng.choice([0.5, 1, 3], (size, 1))
    items = [f"item-{n}" for n in rng.integers(0, int(rng.integers(1, 8)), size)]
    images = [f"image-{n}" for n in range(size)]
    everything = embedded(vectors, images, items)

    def part(rows: np.ndarray) -> Embedded:
        return Embedded(everything.vectors[rows], everything.image_ids[rows], everything.item_ids[rows])

    queries = np.flatnonzero(rng.random(size) < 0.5)
    gallery = np.flatnonzero(rng.random(size) < rng.choice([0.3, 0.8, 1.0]))
    return part(queries if len(queries) else np.array([0])), part(gallery if len(gallery) else np.array([0]))


@pytest.mark.parametrize("level", ["item", "image"])
def test_thousands_of_small_cases_full_of_ties_agree_with_the_reference(level: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(400):
        compare(*discrete_case(rng), level)


@pytest.mark.parametrize("level", ["item", "image"])
@pytest.mark.parametrize(("images", "items"), [(600, 300), (600, 4), (300, 300)])
def test_galleries_beyond_the_first_search_agree_with_the_reference(level: str, images: int, items: int) -> None:
    rng = np.random.default_rng(images + items)
    vectors = rng.standard_normal((images, 6))
    labels = [f"item-{n}" for n in rng.integers(0, items, images)]
    everything = embedded(vectors, [f"image-{n}" for n in range(images)], labels)
    queries = Embedded(everything.vectors[:25], everything.image_ids[:25], everything.item_ids[:25])
    compare(queries, everything, level)


def test_ties_that_go_on_beyond_the_first_search_are_counted() -> None:
    # 1,000 misses and one hit, all with the same cosine, and the hit at the front.
    gallery = embedded(np.ones((1001, 4)), [f"g{n}" for n in range(1001)], ["x"] + ["y"] * 1000)
    queries = embedded(np.ones((1, 4)), ["q"], ["x"])
    assert rank_positives(queries, gallery, IMAGE).ranks.tolist() == [[1001]]
    # As items there are two.
    assert rank_positives(queries, gallery).ranks.tolist() == [[2]]


@pytest.mark.parametrize("level", ["item", "image"])
def test_constant_embeddings_score_like_the_worst_case(level: str) -> None:
    rng = np.random.default_rng(0)
    vector = rng.standard_normal(128)
    items = [f"item-{n // 2}" for n in range(400)]
    everything = embedded(np.tile(vector, (400, 1)), [f"image-{n}" for n in range(400)], items)
    metrics = evaluate_embedded(everything, everything, Protocol(level=level)).metrics
    for name in ("recall@1", "recall@5", "recall@10", "map@10", "map@r", "ndcg@10"):
        assert metrics[name] == 0
    # A query's own item has one other image, which comes last.
    assert metrics["mrr"] == pytest.approx(1 / (200 if level == "item" else 399))


def test_a_miss_with_the_same_vector_comes_before_the_hit_wherever_it_stands() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((500, 96))
    queries = embedded(vectors + 0.1 * rng.standard_normal(vectors.shape), [f"q{n}" for n in range(500)], range(500))
    order = rng.permutation(1000)
    items = np.concatenate([np.arange(500), np.arange(10_000, 10_500)])[order]
    gallery = embedded(np.concatenate([vectors, vectors])[order], [f"g{n}" for n in range(1000)], items.tolist())
    assert (rank_positives(queries, gallery).ranks[:, 0] >= 2).all()


def test_a_query_never_finds_its_own_image_but_finds_its_duplicate() -> None:
    queries = embedded([[1, 0]], ["own"], ["x"])
    gallery = embedded([[1, 0], [1, 0.1], [1, 0.01]], ["own", "other", "copy"], ["x", "y", "x"])
    ranking = rank_positives(queries, gallery, IMAGE)
    assert ranking.ranks.tolist() == [[1]]
    assert ranking.top_rows[0, :3].tolist() == [2, 1, -1]
    # Its item is found by its next best image.
    assert rank_positives(queries, gallery).top_rows[0, :3].tolist() == [2, 1, -1]


def test_an_own_image_under_another_item_is_left_out_as_well() -> None:
    queries = embedded([[1, 0]], ["own"], ["x"])
    gallery = embedded([[1, 0], [0, 1]], ["own", "far"], ["y", "x"])
    ranking = rank_positives(queries, gallery)
    assert (ranking.ranks.tolist(), ranking.positives.tolist()) == ([[1]], [1])


def test_a_gallery_of_nothing_but_the_own_image_gives_no_result() -> None:
    one = embedded([[1, 0]], ["own"], ["x"])
    ranking = rank_positives(one, one)
    assert ranking.positives.tolist() == [0]
    assert (ranking.top_rows == -1).all()
    assert (ranking.top_scores == -np.inf).all()


@pytest.mark.parametrize("level", ["item", "image"])
def test_the_best_results_are_kept_in_order(level: str) -> None:
    rng = np.random.default_rng(1)
    everything = embedded(
        rng.standard_normal((500, 8)),
        [f"image-{n}" for n in range(500)],
        [f"item-{n}" for n in rng.integers(0, 60, 500)],
    )
    queries = Embedded(everything.vectors[:30], everything.image_ids[:30], everything.item_ids[:30])
    ranking = rank_positives(queries, everything, Protocol(level=level, metrics={"recall": (12,)}))
    unit = everything.vectors / np.linalg.norm(everything.vectors, axis=1, keepdims=True)
    for query in range(30):
        found: list[int] = []
        for row in np.argsort(-(unit @ unit[query])):
            new = level == "image" or everything.item_ids[row] not in {everything.item_ids[f] for f in found}
            if row != query and new:
                found.append(int(row))
        assert ranking.top_rows[query].tolist() == found[:12]
        np.testing.assert_allclose(ranking.top_scores[query], unit[found[:12]] @ unit[query], atol=1e-6)


@pytest.mark.parametrize("hit", range(4))
def test_of_equal_cosines_the_misses_are_kept_first(hit: int) -> None:
    items = ["miss-0", "miss-1", "miss-2", "miss-3", "far"]
    items[hit] = "x"
    gallery = embedded([[1, 0], [1, 0], [2, 0], [1, 0], [0, 1]], list("abcde"), items)
    ranking = rank_positives(embedded([[3, 0]], ["q"], ["x"]), gallery)
    assert ranking.ranks.tolist() == [[4]]
    assert sorted(ranking.top_rows[0, :3].tolist()) == sorted({0, 1, 2, 3} - {hit})
    assert ranking.top_rows[0, 3:5].tolist() == [hit, 4]


def test_lengths_of_vectors_and_order_of_the_gallery_change_nothing() -> None:
    rng = np.random.default_rng(2)
    queries, gallery = (
        embedded(rng.standard_normal((n, 5)), [f"{name}{i}" for i in range(n)], [str(i % 7) for i in range(n)])
        for name, n in (("q", 20), ("g", 90))
    )
    expected = rank_positives(queries, gallery, IMAGE).ranks
    order = rng.permutation(90)
    other = Embedded(gallery.vectors[order] * 40, gallery.image_ids[order], gallery.item_ids[order])
    np.testing.assert_array_equal(rank_positives(queries, other, IMAGE).ranks, expected)


SIX = ([0, 1, 3], [0, 3, 4], [1, 2, 4], [2, 3, 4], [0], [3])
MAP_AT = {1: 0.5000, 2: 0.4583, 3: 0.4167, 5: 0.6556}
NDCG_AT = {1: 0.5000, 5: 0.7636}


def check_six(ranks: np.ndarray, positives: np.ndarray) -> None:
    for k, value in MAP_AT.items():
        assert average_precision_at_k(ranks, positives, k).mean() == pytest.approx(value, abs=5e-5)
    for k, value in NDCG_AT.items():
        assert ndcg_at_k(ranks, positives, k).mean() == pytest.approx(value, abs=5e-5)
    assert average_precision_at_r(ranks, positives).mean() == pytest.approx(0.4167, abs=5e-5)


def test_six_known_queries_have_their_known_values() -> None:
    ranks = np.array([[place + 1 for place in hits] + [NEVER] * (3 - len(hits)) for hits in SIX])
    check_six(ranks, np.array([len(hits) for hits in SIX]))


def test_six_known_queries_have_their_known_values_by_search() -> None:
    angles = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    gallery_vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ranks, positives = np.full((6, 3), NEVER), []
    for number, hits in enumerate(SIX):
        items = ["x" if place in hits else f"miss-{place}" for place in range(5)]
        gallery = embedded(gallery_vectors, [f"g{place}" for place in range(5)], items)
        ranking = rank_positives(embedded([[1, 0]], ["q"], ["x"]), gallery, IMAGE)
        ranks[number, : len(hits)] = ranking.ranks[0]
        positives.append(ranking.positives[0])
    check_six(ranks, np.array(positives))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0])
@pytest.mark.parametrize("side", ["queries", "gallery"])
def test_vectors_without_a_cosine_are_refused_by_name(side: str, bad: float) -> None:
    parts = {
        name: embedded(np.ones((4, 3)), [f"{name}-{n}" for n in range(4)], ["x"] * 4) for name in ("queries", "gallery")
    }
    parts[side].vectors[2] = bad
    with pytest.raises(LookalikeError) as caught:
        rank_positives(parts["queries"], parts["gallery"])
    assert str(caught.value).startswith(f"{side}: 1 of 4 embeddings")
    assert f"first image '{side}-2'" in str(caught.value)


def test_one_number_that_is_not_finite_is_enough() -> None:
    part = embedded(np.ones((2, 3)), ["a", "b"], ["x", "x"])
    broken = replace(part, vectors=part.vectors.copy())
    broken.vectors[1, 2] = np.nan
    with pytest.raises(LookalikeError, match="first image 'b'"):
        rank_positives(broken, part)


def test_what_cannot_be_searched_is_refused() -> None:
    one = embedded(np.ones((1, 3)), ["a"], ["x"])
    none = embedded(np.empty((0, 3)), [], [])
    for queries, gallery in ((one, none), (none, one)):
        with pytest.raises(LookalikeError, match="both must be there"):
            rank_positives(queries, gallery)
    with pytest.raises(LookalikeError, match="query embeddings have dimension 3 and gallery embeddings 2"):
        rank_positives(one, embedded(np.ones((1, 2)), ["b"], ["x"]))


def test_an_item_of_many_images_hides_no_other() -> None:
    # 2,000 images of one item are nearest; the hit is the fifth of 500 further items.
    angles = np.concatenate([np.linspace(0.01, 0.5, 2000), np.linspace(0.6, 1.2, 500)])
    items = ["crowd"] * 2000 + [f"other-{n}" for n in range(500)]
    items[2004] = "x"
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gallery = embedded(vectors, [f"g{n}" for n in range(2500)], items)
    ranking = rank_positives(embedded([[1, 0]], ["q"], ["x"]), gallery)
    assert ranking.ranks.tolist() == [[6]]
    assert ranking.top_rows[0].tolist() == [0, *range(2000, 2009)]


def test_of_many_ties_the_lowest_grades_are_shown() -> None:
    count = 1500
    attributes = pa.table({"category": ["same"] * 1000 + ["other"] * 500})
    ids = np.array([f"g{n}" for n in range(count)], object), np.array([f"item-{n}" for n in range(count)], object)
    gallery = Embedded(np.ones((count, 4), np.float32), *ids, attributes)
    query = Embedded(gallery.vectors[:1], np.array(["q"], object), ids[1][:1], attributes[:1])
    ranking = rank_positives(query, gallery)
    assert ranking.ranks.tolist() == [[1500]]
    assert set(ranking.top_grades[0].tolist()) == {0}
    assert ranking.level_counts.tolist() == [[999, 1]]
