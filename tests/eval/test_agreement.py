"""Our figures beside those of ir-measures, scikit-learn, pytorch-metric-learning and open-metric-learning.

docs/evaluation.md has a table of where and why they differ; each row of it is one of these tests.
"""

import ir_measures
import numpy as np
import pyarrow as pa
import pytest
from ir_measures import AP, RR, P, Rprec, Success, nDCG
from sklearn.metrics import average_precision_score, ndcg_score

from src.eval.embedded import Embedded
from src.eval.graded_ndcg import graded_ndcg_at_k
from src.eval.metrics import (
    average_precision_at_k,
    average_precision_at_r,
    measure,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)
from src.eval.protocol import Protocol
from src.eval.ranking import NEVER, rank_positives
from tests.eval.oml_values import case
from tests.eval.pml_values import by_pytorch_metric_learning

IMAGES = Protocol(level="image", metrics=dict.fromkeys(("recall", "precision", "map", "ndcg"), (1, 5, 10)))


def random_lists(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Relevance, 0 or 1, of whole rankings: from one result to 40, from one positive to all."""
    lists = []
    for _ in range(count):
        relevant = (rng.random(int(rng.integers(1, 40))) < rng.choice([0.05, 0.3, 0.9])).astype(int)
        relevant[rng.integers(len(relevant))] = 1
        lists.append(relevant)
    return lists


def ranks_of(lists: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    positives = np.array([relevant.sum() for relevant in lists])
    ranks = np.full((len(lists), positives.max()), NEVER)
    for row, relevant in enumerate(lists):
        ranks[row, : positives[row]] = np.flatnonzero(relevant) + 1
    return ranks, positives


def ir_values(lists: list[np.ndarray], measures: list) -> dict[str, np.ndarray]:
    qrels = {str(q): {f"d{d}": int(grade) for d, grade in enumerate(grades)} for q, grades in enumerate(lists)}
    run = {str(q): {f"d{d}": float(len(grades) - d) for d in range(len(grades))} for q, grades in enumerate(lists)}
    values = {str(name): np.zeros(len(lists)) for name in measures}
    for found in ir_measures.iter_calc(measures, qrels, run):
        values[str(found.measure)][int(found.query_id)] = found.value
    return values


def test_thousands_of_lists_agree_with_ir_measures() -> None:
    lists = random_lists(np.random.default_rng(0), 3000)
    ranks, positives = ranks_of(lists)
    ks = (1, 3, 5, 10)
    theirs = ir_values(lists, [RR, Rprec, AP, *(m @ k for m in (P, Success, nDCG, AP) for k in ks)])
    np.testing.assert_allclose(reciprocal_rank(ranks), theirs["RR"])
    np.testing.assert_allclose(r_precision(ranks, positives), theirs["Rprec"])
    for k in ks:
        np.testing.assert_allclose(precision_at_k(ranks, k), theirs[f"P@{k}"])
        np.testing.assert_allclose(recall_at_k(ranks, k), theirs[f"Success@{k}"])
        np.testing.assert_allclose(ndcg_at_k(ranks, positives, k), theirs[f"nDCG@{k}"])
        # trec_eval divides by R, we by min(R, k).
        ours = average_precision_at_k(ranks, positives, k)
        np.testing.assert_allclose(ours * np.minimum(positives, k) / positives, theirs[f"AP@{k}"])
    # With k over all of the ranking the divisors are one.
    np.testing.assert_allclose(average_precision_at_k(ranks, positives, 40), theirs["AP"])


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_graded_ndcg_agrees_with_ir_measures_and_scikit_learn(gain: str) -> None:
    rng = np.random.default_rng(1)
    lists = [rng.choice(4, size=int(rng.integers(2, 30)), p=[0.6, 0.2, 0.1, 0.1]) for _ in range(1500)]
    lists = [grades if grades.any() else np.append(grades, 1) for grades in lists]
    levels = np.array([1, 2, 3])
    counts = np.array([[(grades == level).sum() for level in levels] for grades in lists])
    top = np.array([np.pad(grades, (0, 30))[:10] for grades in lists]).astype(np.int8)
    worth = [grades if gain == "linear" else 2**grades - 1 for grades in lists]
    for k in (1, 5, 10):
        ours = graded_ndcg_at_k(top, levels, counts, k, gain=gain)
        np.testing.assert_allclose(ours, ir_values(worth, [nDCG @ k])[f"nDCG@{k}"])
        theirs = [ndcg_score([value], [np.arange(len(value))[::-1]], k=k) for value in worth[:200]]
        np.testing.assert_allclose(ours[:200], theirs)


def test_average_precision_agrees_with_scikit_learn() -> None:
    lists = random_lists(np.random.default_rng(2), 300)
    ranks, positives = ranks_of(lists)
    ours = average_precision_at_k(ranks, positives, 40)
    theirs = [average_precision_score(relevant, np.arange(len(relevant))[::-1]) for relevant in lists]
    np.testing.assert_allclose(ours, theirs)


def test_ties_are_averaged_by_scikit_learn_and_lost_by_us() -> None:
    # Two results of one score, one of them relevant.
    assert ndcg_score([[1, 0]], [[0.5, 0.5]], k=1) == pytest.approx(0.5)
    assert average_precision_score([1, 0], [0.5, 0.5]) == pytest.approx(0.5)
    gallery = Embedded(np.ones((2, 3), np.float32), np.array(["a", "b"], object), np.array(["x", "y"], object))
    query = Embedded(np.ones((1, 3), np.float32), np.array(["q"], object), np.array(["x"], object))
    values = measure(rank_positives(query, gallery, IMAGES), IMAGES)
    assert (values["ndcg@1"][0], values["map@5"][0], values["recall@1"][0]) == (0, 0.5, 0)
    # trec_eval decides by the names of the documents.
    tied = {"q": {"a": 0.5, "b": 0.5}}
    found = [ir_measures.calc_aggregate([P @ 1], {"q": {name: 1}}, tied)[P @ 1] for name in ("a", "b")]
    assert sorted(found) == [0, 1]


def clustered(seed: int, images: int, items: int, *, lonely: int = 0) -> Embedded:
    """Vectors around centres, in steps that leave no ties; the last `lonely` images have items of their own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, items, images)
    labels[images - lonely :] = items + np.arange(lonely)
    centres = rng.standard_normal((items + lonely, 8))
    vectors = centres[labels] + 0.9 * rng.standard_normal((images, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([str(n) for n in range(images)], object), np.array([str(label) for label in labels], object)
    return Embedded(vectors.astype(np.float32), *ids, pa.table({"label": labels}))


def theirs_of(everything: Embedded, k: int | str | None) -> dict[str, float]:
    return by_pytorch_metric_learning(everything.vectors, everything.attributes["label"].to_numpy(), k)


def averages(everything: Embedded) -> dict[str, float]:
    values = measure(rank_positives(everything, everything, IMAGES), IMAGES)
    return {name: float(np.nanmean(value)) for name, value in values.items()}


@pytest.mark.parametrize(("images", "items", "lonely"), [(300, 12, 0), (200, 60, 15), (40, 3, 1)])
def test_leave_one_out_agrees_with_pytorch_metric_learning(images: int, items: int, lonely: int) -> None:
    everything = clustered(images, images, items, lonely=lonely)
    ours, theirs = averages(everything), theirs_of(everything, None)
    # Both leave queries without positives out.
    assert theirs["precision_at_1"] == pytest.approx(ours["recall@1"], abs=1e-7)
    assert theirs["r_precision"] == pytest.approx(ours["r_precision"], abs=1e-7)
    assert theirs["mean_average_precision_at_r"] == pytest.approx(ours["map@r"], abs=1e-7)
    # With k=None it keeps the whole ranking.
    assert theirs["mean_reciprocal_rank"] == pytest.approx(ours["mrr"], abs=1e-6)


def test_pytorch_metric_learning_ends_its_ranking_at_k() -> None:
    everything = clustered(7, 300, 40)
    ours, theirs = averages(everything), theirs_of(everything, 10)
    # A first positive beyond k counts as 0 there; we count its rank.
    values = measure(rank_positives(everything, everything, IMAGES), IMAGES)
    cut = np.where(values["recall@10"] == 1, values["mrr"], 0)[values["mrr"] > 0]
    assert theirs["mean_reciprocal_rank"] == pytest.approx(cut.mean(), abs=1e-6)
    assert theirs["mean_reciprocal_rank"] < ours["mrr"]
    # Its average precision at k is divided by R, ours by min(R, k).
    ranking = rank_positives(everything, everything, IMAGES)
    ap = values["map@10"] * np.minimum(ranking.positives, 10) / np.maximum(ranking.positives, 1)
    assert theirs["mean_average_precision"] == pytest.approx(np.nanmean(ap), abs=1e-7)


def test_constant_embeddings_score_by_luck_there_and_nothing_here() -> None:
    labels = np.arange(40) // 2
    ids = np.array([str(n) for n in range(40)], object), labels.astype(str).astype(object)
    constant = Embedded(np.full((40, 4), 0.5, np.float32), *ids, pa.table({"label": labels}))
    assert averages(constant)["recall@1"] == 0
    # Each gets the lowest row, which is right for the rows that share its item.
    assert theirs_of(constant, "max_bin_count")["precision_at_1"] > 0


OML_VALUES = {
    None: {
        "cmc@1": 0.48837209,
        "cmc@5": 0.81395346,
        "precision@5": 0.47480622,
        "precision@10": 0.55972677,
        "map@5": 0.58861440,
        "map@10": 0.57530463,
    },
    "session": {
        "cmc@1": 0.5,
        "cmc@5": 0.81395346,
        "precision@5": 0.47771320,
        "precision@10": 0.56969362,
        "map@5": 0.59302330,
        "map@10": 0.58057833,
    },
}
"""Averages over the queries that have a positive, of open-metric-learning 4.0.0, by tests/eval/oml_values.py."""

OML_CMC_OF_ALL = 0.46666667
"""Its cmc@1 over all queries: those without a positive count as 0."""


@pytest.mark.parametrize("exclude", [None, "session"])
def test_leave_one_out_agrees_with_open_metric_learning(exclude: str | None) -> None:
    vectors, labels, sessions = case()
    ids = np.arange(len(labels)).astype(str).astype(object), labels.astype(str).astype(object)
    everything = Embedded(vectors, *ids, pa.table({"session": sessions}))
    protocol = Protocol(level="image", exclude=exclude, metrics=IMAGES.metrics)
    ranking = rank_positives(everything, everything, protocol)
    ours, theirs = measure(ranking, protocol), OML_VALUES[exclude]
    assert np.nanmean(ours["recall@1"]) == pytest.approx(theirs["cmc@1"], abs=1e-6)
    assert np.nanmean(ours["recall@5"]) == pytest.approx(theirs["cmc@5"], abs=1e-6)
    for k in (5, 10):
        most = np.minimum(ranking.positives, k)
        hits = ours[f"precision@{k}"] * k
        # It divides precision by min(R, k), we by k; and average precision by the hits among k, we by min(R, k).
        assert np.nanmean(hits / np.maximum(most, 1)) == pytest.approx(theirs[f"precision@{k}"], abs=1e-6)
        ap = ours[f"map@{k}"] * most / np.maximum(hits, 1)
        assert np.nanmean(ap) == pytest.approx(theirs[f"map@{k}"], abs=1e-6)
    if exclude is None:
        assert np.nan_to_num(ours["recall@1"]).mean() == pytest.approx(OML_CMC_OF_ALL, abs=1e-6)


def test_average_precision_at_r_is_that_at_k_with_k_equal_to_r() -> None:
    ranks, positives = ranks_of(random_lists(np.random.default_rng(3), 500))
    for r in np.unique(positives):
        rows = positives == r
        ours = average_precision_at_r(ranks, positives)[rows]
        np.testing.assert_allclose(ours, average_precision_at_k(ranks, positives, int(r))[rows])
