"""The worst false positives, and their pictures."""

from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import open_catalogue
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded, evaluate_split
from src.eval.explanations.explained_results import explain_worst, panel
from src.eval.explanations.false_positives import FalsePositive, worst_false_positives
from src.models.inference import embedder
from tests.eval.explanations.planted import SPEC, tiny_cnn


def embedded(angles: list[float], images: list[str], items: list[str]) -> Embedded:
    vectors = np.array([[np.cos(angle), np.sin(angle)] for angle in angles], np.float32)
    return Embedded(vectors, np.array(images, object), np.array(items, object))


GALLERY = embedded([0.0, 0.1, 0.5, 0.9], ["a0", "b0", "b1", "c0"], ["a", "b", "b", "c"])


def test_the_largest_gap_comes_first_and_a_pair_of_items_once() -> None:
    queries = embedded(
        [0.0, 0.0, 0.02, 0.1, 0.6, 0.0], ["q0", "q1", "q2", "q3", "q4", "q5"], ["a", "c", "c", "b", "c", "none"]
    )
    found = worst_false_positives(evaluate_embedded(queries, GALLERY), 10)
    # q0 and q3 are right, q2 asks for c and finds a as q1 does, with a smaller gap; q5 has no positive.
    assert [(one.query, one.found, one.missed, one.missed_rank) for one in found] == [(1, 0, 3, 3), (4, 2, 3, 2)]
    assert found[0].found_score == pytest.approx(1)
    assert found[0].missed_score == pytest.approx(np.cos(0.9))
    assert worst_false_positives(evaluate_embedded(queries, GALLERY), 1) == found[:1]
    right = embedded([0.0], ["q"], ["a"])
    assert worst_false_positives(evaluate_embedded(right, GALLERY), 3) == []


def test_a_query_s_own_image_is_not_the_positive_that_it_missed() -> None:
    both = embedded([0.0, 0.1, 1.0], ["x0", "y0", "x1"], ["x", "y", "x"])
    query = both.take(np.array([0]))
    found = worst_false_positives(evaluate_embedded(query, both), 3)
    assert found == [FalsePositive(0, 1, pytest.approx(np.cos(0.1)), 2, pytest.approx(np.cos(1.0)), 2)]


def test_pictures_of_both_results_come_with_ids_and_scores(data_settings, folder_catalogue, tmp_path: Path) -> None:
    catalogue = open_catalogue(data_settings(root=str(folder_catalogue(tmp_path / "shop", items=12, images=3))))
    encoder = tiny_cnn()

    def blind(pixels: np.ndarray) -> np.ndarray:
        # Sees one row of pixels: wrong often enough.
        return pixels[:, 16].reshape(len(pixels), -1).astype(np.float32) + 1

    evaluation = evaluate_split(catalogue, "test", SPEC, lambda pixels: blind(255 - pixels) ** 0.01)
    expected = worst_false_positives(evaluation, 2)
    explained = explain_worst(catalogue, evaluation, encoder, SPEC, 2)
    assert len(explained) == len(expected)
    for one, known in zip(explained, expected, strict=True):
        assert one.query_image_id == evaluation.queries.image_ids[known.query]
        assert one.false_positive.image_id == evaluation.gallery.image_ids[known.found]
        assert one.false_positive.item_id != one.query_item_id == one.missed_positive.item_id
        assert (one.false_positive.rank, one.false_positive.score) == (1, known.found_score)
        assert (one.missed_positive.rank, one.missed_positive.score) == (known.missed_rank, known.missed_score)
        picture = panel(one)
        assert picture.size == (690, 390)
        placed = picture.crop((10, 30, 170, 190))
        np.testing.assert_array_equal(np.asarray(placed), np.asarray(one.false_positive.query))
    right = evaluate_split(catalogue, "test", SPEC, embedder(encoder))
    assert explain_worst(catalogue, right, encoder, SPEC, 0) == []
