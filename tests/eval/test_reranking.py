"""Re-ranking as part of an evaluation: what changes, what must not, what it costs."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import ConfigError
from src.contracts.settings.rerank import (
    STAGES,
    AlphaQESettings,
    BusinessSettings,
    KReciprocalSettings,
    RerankSettings,
    rerank_problems,
)
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.metrics import measure
from src.eval.protocol import Protocol
from src.eval.ranking import NEVER, Ranking, rank_positives
from src.eval.rerank_report import measure_reranking, print_reranking, write_reranking
from src.eval.reranking import rerank
from src.index.reranking.alpha_query_expansion import alpha_query_expansion
from src.index.reranking.candidates import Candidates
from src.index.reranking.k_reciprocal import k_reciprocal

DEPTH = 20
PROTOCOL = Protocol(metrics={"recall": (1, 5, 10, DEPTH), "ndcg": (10,), "graded_ndcg": (10,), "map": (10,)})
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def embedded(rng: np.random.Generator, images: int, items: int, *, ties: bool = False) -> Embedded:
    """Clusters that overlap, with everything that business re-ranking asks for."""
    item = rng.integers(0, items, images)
    centres = rng.standard_normal((items, 6))
    vectors = centres[item] + (0 if ties else 0.7) * rng.standard_normal((images, 6))
    attributes = pa.table(
        {
            "parent_id": [f"parent-{n // 2}" for n in item],
            "in_stock": [None if n == 0 else bool(n % 3) for n in item],
            "price": [None if n == 1 else float(10 + n) for n in item],
            "listed_at": pa.array(
                [None if n == 2 else NOW - timedelta(days=int(n)) for n in item], pa.timestamp("us", tz="UTC")
            ),
        }
    )
    return Embedded(
        vectors.astype(np.float32),
        np.array([f"image-{n}" for n in range(images)], object),
        np.array([f"item-{n}" for n in item], object),
        attributes,
    )


def case(rng: np.random.Generator, *, ties: bool = False) -> tuple[Embedded, Embedded]:
    everything = embedded(rng, int(rng.integers(60, 150)), int(rng.integers(8, 40)), ties=ties)
    return everything.take(np.arange(12)), everything


def settings(*stages: str, **values: object) -> RerankSettings:
    return replace(RerankSettings(stages=list(stages), depth=DEPTH, timed=3), **values)


@pytest.mark.parametrize("level", ["item", "image"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("stages", [(stage,) for stage in STAGES] + [STAGES, STAGES[::-1]])
def test_only_the_order_of_the_first_results_changes(level: str, ties: bool, stages: tuple[str, ...]) -> None:
    rng = np.random.default_rng(len(stages) + ties)
    for _ in range(4):
        queries, gallery = case(rng, ties=ties)
        before = rank_positives(queries, gallery, replace(PROTOCOL, level=level))
        done = rerank(queries, gallery, before, settings(*stages))
        assert [part.stage for part in done] == ["search", *stages]
        assert done[0].ranking is before
        for part in done[1:]:
            after = part.ranking
            assert part.ms > 0
            check_consistent(queries, gallery, before, after)


def check_consistent(queries: Embedded, gallery: Embedded, before: Ranking, after: Ranking) -> None:
    np.testing.assert_array_equal(np.sort(after.top_rows, axis=1), np.sort(before.top_rows, axis=1))
    np.testing.assert_array_equal(after.positives, before.positives)
    for query in range(len(queries)):
        rows = after.top_rows[query]
        found = rows[rows >= 0]
        assert queries.image_ids[query] not in gallery.image_ids[found]
        # Gaps are last, scores descend, and of equal scores the miss comes first.
        assert (rows[: len(found)] >= 0).all()
        hits = gallery.item_ids[found] == queries.item_ids[query]
        keys = [
            (-round(float(score) * 1e6), bool(hit)) for score, hit in zip(after.top_scores[query], hits, strict=False)
        ]
        assert keys == sorted(keys)
        # The ranks say where the hits are; those beyond stay.
        places = np.flatnonzero(hits) + 1
        ranks = after.ranks[query][after.ranks[query] < NEVER]
        assert ranks[: len(places)].tolist() == places.tolist()
        old = before.ranks[query][before.ranks[query] < NEVER]
        assert ranks[len(places) :].tolist() == old[len(places) :].tolist()
        assert (ranks[len(places) :] > len(found)).all()
        grades = dict(zip(before.top_rows[query].tolist(), before.top_grades[query].tolist(), strict=True))
        assert after.top_grades[query].tolist() == [grades[row] for row in rows.tolist()]
    one, other = measure(before, PROTOCOL), measure(after, PROTOCOL)
    np.testing.assert_array_equal(one[f"recall@{DEPTH}"], other[f"recall@{DEPTH}"])


def test_results_beyond_the_depth_keep_their_places() -> None:
    queries, gallery = case(np.random.default_rng(6))
    before = rank_positives(queries, gallery, PROTOCOL)
    half = replace(before, **{name: getattr(before, name)[:, :10] for name in ("top_rows", "top_scores", "top_grades")})
    chosen = replace(settings("k_reciprocal", "business"), depth=10)
    for part, alone in zip(
        rerank(queries, gallery, before, chosen)[1:], rerank(queries, gallery, half, chosen)[1:], strict=True
    ):
        for name in ("top_rows", "top_scores", "top_grades"):
            np.testing.assert_array_equal(getattr(part.ranking, name)[:, 10:], getattr(before, name)[:, 10:])
            np.testing.assert_array_equal(getattr(part.ranking, name)[:, :10], getattr(alone.ranking, name))
        np.testing.assert_array_equal(part.ranking.ranks, alone.ranking.ranks)
        assert (part.ranking.ranks != before.ranks).any()


def test_stages_are_reported_with_the_change_since_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries, gallery = case(np.random.default_rng(5))
    evaluation = evaluate_embedded(queries, gallery)
    chosen = settings("alpha_qe", "business", business=BusinessSettings(in_stock=3))
    measured = measure_reranking(evaluation, Protocol(), chosen)
    search, expanded, business = measured["stages"]
    for name, value in evaluation.metrics.items():
        if name not in ("queries", "queries_without_positives"):
            assert search["metrics"][name] == pytest.approx(value)
    assert measured["queries"] == evaluation.metrics["queries"]
    for stage in (expanded, business):
        assert stage["metrics"][f"recall@{DEPTH}"] == search["metrics"][f"recall@{DEPTH}"]
        for name, delta in stage["delta"].items():
            assert delta["value"] == pytest.approx(stage["metrics"][name] - search["metrics"][name], abs=1e-9)
            assert delta["low"] is None or delta["low"] <= delta["value"] <= delta["high"]
    assert business["metrics"]["in_stock@10"] > search["metrics"]["in_stock@10"]
    assert business["metrics"]["graded_ndcg@10"] < search["metrics"]["graded_ndcg@10"]
    write_reranking(measured, tmp_path / "out" / "rerank.json")
    assert json.loads((tmp_path / "out" / "rerank.json").read_text()) == measured
    print_reranking(measured)
    printed = capsys.readouterr().out
    assert f"re-ranking the first {DEPTH} results" in printed
    for line in measured["stages"]:
        assert f"{line['metrics']['mrr']:.4f}" in printed
    # Nothing is cut off on a terminal of 80 columns.
    assert "…" not in printed


@pytest.mark.parametrize("name", ["alpha_qe", "k_reciprocal"])
def test_a_stage_sees_each_query_beside_its_own_results(name: str) -> None:
    queries, gallery = case(np.random.default_rng(7))
    before = rank_positives(queries, gallery, PROTOCOL)
    chosen = settings(name, alpha_qe=AlphaQESettings(1.5, 3), k_reciprocal=KReciprocalSettings(4, 2, 0.4))
    after = rerank(queries, gallery, before, chosen)[1].ranking
    unit = gallery.vectors / np.linalg.norm(gallery.vectors, axis=1, keepdims=True)
    asked = queries.vectors / np.linalg.norm(queries.vectors, axis=1, keepdims=True)
    for query in range(len(queries)):
        rows = before.top_rows[query][before.top_rows[query] >= 0]
        alone = Candidates(asked[query : query + 1], unit[rows][None], (unit[rows] @ asked[query])[None])
        done = (
            alpha_query_expansion(alone, alpha=1.5, neighbours=3)
            if name == "alpha_qe"
            else k_reciprocal(alone, k1=4, k2=2, weight=0.4)
        )
        scores = dict(zip(rows.tolist(), done.scores[0].tolist(), strict=True))
        found = after.top_rows[query][after.top_rows[query] >= 0]
        np.testing.assert_allclose(after.top_scores[query][: len(found)], [scores[row] for row in found], atol=2e-6)


def test_business_puts_what_is_in_stock_first_and_asks_for_no_column_without_need() -> None:
    queries, gallery = case(np.random.default_rng(8))
    before = rank_positives(queries, gallery, PROTOCOL)
    only_stock = settings("business", business=BusinessSettings(in_stock=3, price=0, freshness=0))
    bare = replace(gallery, attributes=gallery.attributes.select(["parent_id", "in_stock"]))
    after = rerank(queries, bare, before, only_stock)[1].ranking
    in_stock = np.array([value is True for value in gallery.attributes["in_stock"].to_pylist()])
    for rows in after.top_rows:
        there = in_stock[rows[rows >= 0]].astype(int)
        assert (np.diff(there) <= 0).all()
    with pytest.raises(ConfigError, match=r"`rerank.business.price=0.02`: the gallery has no column price"):
        rerank(queries, bare, before, settings("business"))
    chosen = settings("business", business=BusinessSettings(in_stock=0, price=0, freshness=1))
    with pytest.raises(ConfigError, match=r"`rerank.business.freshness=1`: the gallery has no column listed_at"):
        rerank(queries, replace(gallery, attributes=None), before, chosen)


def test_business_adds_what_is_known_by_hand() -> None:
    gallery = Embedded(
        np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32),
        np.array(["a", "b", "c"], object),
        np.array(["x", "y", "z"], object),
        pa.table(
            {
                "in_stock": [False, True, None],
                "price": [10.0, 20.0, None],
                "listed_at": pa.array([NOW - timedelta(days=30), NOW, None], pa.timestamp("ms", tz="UTC")),
            }
        ),
    )
    queries = Embedded(np.array([[1, 0]], np.float32), np.array(["q"], object), np.array(["x"], object))
    before = rank_positives(queries, gallery, PROTOCOL)
    chosen = settings("business", business=BusinessSettings(0.1, 0.3, 0.4, half_life_days=30))
    after = rerank(queries, gallery, before, chosen)[1].ranking
    # The typical price is 15; "c" earns nothing.
    expected = {0: 1 + 0.3 * 10 / 15 + 0.4 * 0.5, 1: 0.8 + 0.1 + 0.3 * 15 / 20 + 0.4, 2: 0.6}
    assert after.top_rows[0, :3].tolist() == [1, 0, 2]
    np.testing.assert_allclose(after.top_scores[0, :3], [expected[1], expected[0], expected[2]], atol=1e-6)
    assert after.ranks[0].tolist() == [2]


def test_constant_embeddings_still_score_like_the_worst_case() -> None:
    rng = np.random.default_rng(9)
    everything = embedded(rng, 80, 30)
    constant = replace(everything, vectors=np.ones_like(everything.vectors))
    before = rank_positives(constant, constant, PROTOCOL)
    for part in rerank(constant, constant, before, settings("alpha_qe", "k_reciprocal")):
        assert np.nanmax(measure(part.ranking, PROTOCOL)["recall@10"]) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stages": ["diffusion"]}, "'diffusion' is none of alpha_qe, k_reciprocal, business"),
        ({"stages": ["business", "business"]}, "stands there twice"),
        ({"depth": 9}, "`rerank.depth=9`: must be at least 10"),
        ({"alpha_qe": AlphaQESettings(alpha=-1)}, "must not be negative"),
        ({"alpha_qe": AlphaQESettings(neighbours=0)}, "`rerank.alpha_qe.neighbours=0`"),
        ({"k_reciprocal": KReciprocalSettings(k1=0)}, "`rerank.k_reciprocal.k1=0`"),
        ({"k_reciprocal": KReciprocalSettings(weight=1.1)}, "must lie in 0..1"),
        ({"business": BusinessSettings(in_stock=float("nan"))}, "must lie in 0..10"),
        ({"business": BusinessSettings(half_life_days=0)}, "must be above 0"),
    ],
)
def test_what_cannot_work_is_named(values: dict, message: str) -> None:
    assert rerank_problems(RerankSettings()) == []
    (problem,) = rerank_problems(replace(RerankSettings(), **values))
    assert message in problem
