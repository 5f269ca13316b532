"""Hidden rows are never found, and nothing else is lost."""

import numpy as np
import pytest

from src.index.faiss_index import FaissIndex
from src.search.hidden import Visible


class Counting:
    """Remembers how the index below was searched."""

    def __init__(self, index: FaissIndex) -> None:
        self.index, self.masks, self.depths = index, 0, []

    def __len__(self) -> int:
        return len(self.index)

    def search(self, vectors, k, allowed=None):
        self.masks += allowed is not None
        self.depths.append(k)
        return self.index.search(vectors, k, allowed)


def unit(rows: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("layout", ["exact", "hnsw_fp32"])
def test_what_is_found_is_what_a_mask_lets_pass(layout: str) -> None:
    vectors, queries, rng = unit(300), unit(9, seed=1), np.random.default_rng(2)
    index = FaissIndex.build(vectors, layout=layout)
    for count in (1, 3, 40, 295, 300):
        hidden = np.sort(rng.choice(300, count, replace=False))
        for share in (None, 0.5, 0.02):
            allowed = None if share is None else rng.random(300) < share
            before = None if allowed is None else allowed.copy()
            seen = np.ones(300, bool) if allowed is None else allowed.copy()
            seen[hidden] = False
            for k in (1, 10, 300):
                scores, rows = Visible(index, hidden).search(queries, k, allowed)
                expected = np.where(seen, queries @ vectors.T, -np.inf)
                expected = -np.sort(-expected, axis=1)[:, :k]
                assert scores.shape == rows.shape == (9, k)
                assert scores.dtype == np.float32
                np.testing.assert_allclose(scores, expected, atol=1e-5)
                assert not np.isin(rows, hidden).any()
                assert ((rows < 0) == np.isinf(expected)).all()
            # The caller goes on using its mask.
            assert allowed is None or (allowed == before).all()


def test_a_mask_is_made_only_where_hidden_rows_crowd_round_the_query() -> None:
    vectors = unit(2000)
    index = Counting(FaissIndex.build(vectors, layout="exact"))
    near = np.sort(np.argsort(-(vectors @ vectors[0]))[:100])
    far = np.sort(np.argsort(vectors @ vectors[0])[:100])
    scores, _ = Visible(index, far).search(vectors[:1], 10)
    assert (index.masks, index.depths) == (0, [36])
    assert scores[0, 0] == pytest.approx(1, abs=1e-6)
    scores, rows = Visible(index, near).search(vectors[:1], 10)
    assert (index.masks, index.depths) == (1, [36, 36, 10])
    assert not np.isin(rows, near).any()
    Visible(index, near[:5]).search(vectors[:1], 10)
    assert index.masks == 1


def test_nothing_hidden_is_a_plain_search() -> None:
    index = FaissIndex.build(unit(50), layout="exact")
    _, rows = Visible(index, np.empty(0, np.int64)).search(unit(2, seed=3), 4)
    np.testing.assert_array_equal(rows, index.search(unit(2, seed=3), 4)[1])
    assert len(Visible(index, np.array([3]))) == 50
