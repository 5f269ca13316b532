"""Items by their best image."""

import numpy as np
import pytest

from src.index.best_items import search_items
from src.index.faiss_index import FaissIndex


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def reference(vectors: np.ndarray, query: np.ndarray, item_of_row: np.ndarray, k: int, allowed: np.ndarray) -> list:
    best: dict[int, tuple[float, int]] = {}
    for row in np.flatnonzero(allowed):
        score = float(vectors[row] @ query)
        item = int(item_of_row[row])
        if item not in best or score > best[item][0]:
            best[item] = (score, int(row))
    return sorted(best.values(), reverse=True)[:k]


@pytest.mark.parametrize("layout", ["exact", "hnsw_fp16"])
@pytest.mark.parametrize("seed", range(8))
def test_each_item_stands_once_with_its_best_image(layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 400))
    vectors = unit(rng.standard_normal((rows, 16)))
    # A few items own most of the images, so that many images give few items.
    item_of_row = np.minimum(rng.geometric(0.3, rows), 25)
    # Where nothing is left out, float16 alone may swap neighbours; so scores are compared, not places.
    tolerance = 1e-6 if layout == "exact" else 2e-3
    index = FaissIndex.build(vectors, layout=layout, ef_search=500)
    for passing in (1.0, 0.6, 0.1):
        allowed = rng.random(rows) < passing
        for k in (1, 3, 40):
            query = unit(rng.standard_normal((1, 16)))[0]
            scores, found = search_items(index, query, item_of_row, k, allowed=allowed)
            expected = reference(vectors, query, item_of_row, k, allowed)
            assert len(found) == len(expected)
            assert len(set(item_of_row[found])) == len(found)
            assert allowed[found].all()
            np.testing.assert_allclose(scores, [score for score, _ in expected], atol=tolerance)
            if layout == "exact":
                assert found.tolist() == [row for _, row in expected]


def test_one_item_with_all_the_images_does_not_hide_the_others() -> None:
    rng = np.random.default_rng(0)
    query = unit(np.ones((1, 8)))[0]
    near = unit(query + 0.01 * rng.standard_normal((500, 8)))
    vectors = np.concatenate([near, unit(-query + 0.1 * rng.standard_normal((3, 8)))])
    item_of_row = np.array([0] * 500 + [1, 2, 3])
    _, rows = search_items(FaissIndex.build(vectors, layout="exact"), query, item_of_row, 3)
    assert item_of_row[rows][0] == 0
    assert len(rows) == 3


def test_fewer_items_than_asked_are_all_found() -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((6, 8)))
    item_of_row = np.array([0, 0, 1, 1, 1, 1])
    index = FaissIndex.build(vectors, layout="exact")
    assert len(search_items(index, vectors[0], item_of_row, 10)[1]) == 2
    assert search_items(index, vectors[0], item_of_row, 10, allowed=item_of_row == 1)[0].shape == (1,)
    assert len(search_items(index, vectors[0], item_of_row, 10, allowed=np.zeros(6, bool))[1]) == 0


def test_an_empty_index_has_no_items() -> None:
    index = FaissIndex.build(np.empty((0, 8), np.float32), layout="exact")
    scores, rows = search_items(index, unit(np.ones((1, 8)))[0], np.empty(0, np.int64), 5)
    assert scores.shape == rows.shape == (0,)
