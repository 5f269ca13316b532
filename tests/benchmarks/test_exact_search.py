"""Brute force with a rough first pass against FAISS Flat and against float64."""

import faiss
import numpy as np
import pytest
import torch

from benchmarks import exact_search
from benchmarks.exact_search import ExactSearch
from benchmarks.rough_scores import HalfScores, Int8Scores
from src.contracts.errors import LookalikeError

PASSES = ("float16", "int8")


def random_vectors(rows: int, dim: int = 40, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ugly(name: str) -> np.ndarray:
    vectors = random_vectors(1000)
    made = {
        "random": vectors,
        "not a multiple of the block": vectors[:997],
        "one block and one row": vectors[:129],
        "one row": vectors[:1],
        "fewer rows than a block": vectors[:7],
        "all equal": np.tile(vectors[:1], (600, 1)),
        "each a hundred times": np.repeat(vectors[:9], 100, axis=0),
        "opposites": np.concatenate([vectors[:300], -vectors[:300]]),
        "one axis": np.eye(40, dtype=np.float32)[np.zeros(300, int)] * np.sign(vectors[:300, :1]),
        "zeros among them": np.where(np.arange(1000)[:, None] % 3 == 0, 0, vectors).astype(np.float32),
        "nearly equal": random_vectors(1)[0] + 1e-3 * random_vectors(900, seed=3),
        "tiny": (2.0**-20 * vectors).astype(np.float32),
        "odd dimension": random_vectors(500, dim=13),
    }[name]
    return made.astype(np.float32)


UGLY = (
    ["random", "not a multiple of the block", "one block and one row", "one row", "fewer rows than a block"]
    + ["all equal", "each a hundred times", "opposites", "one axis", "zeros among them", "nearly equal", "tiny"]
    + ["odd dimension"]
)


@pytest.mark.parametrize("precision", PASSES)
@pytest.mark.parametrize("name", UGLY)
@pytest.mark.parametrize("k", [1, 10, 150])
def test_it_is_faiss_flat_over_the_float16_vectors(name: str, precision: str, k: int) -> None:
    vectors = ugly(name)
    queries = np.concatenate([random_vectors(9, dim=vectors.shape[1], seed=1), vectors[:3], -vectors[:1]])
    stored = vectors.astype(np.float16).astype(np.float32)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(stored)
    true_scores, true_rows = flat.search(queries, k)
    search = ExactSearch(vectors, device="cpu", precision=precision, block=64, batch=5)
    scores, rows = search.search(queries, k)
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)
    found = min(k, len(vectors))
    assert (rows[:, found:] == -1).all()
    assert (scores[:, found:] == -np.inf).all()
    np.testing.assert_allclose(scores[:, :found], true_scores[:, :found], atol=2e-6)
    assert (np.diff(scores[:, :found], axis=1) <= 0).all()
    exact = queries.astype(np.float64) @ stored.T.astype(np.float64)
    for number in range(len(queries)):
        mine = rows[number, :found]
        assert len(set(mine)) == found
        np.testing.assert_allclose(exact[number, mine], scores[number, :found], atol=1e-6)
        # Sets are equal apart from rows that tie with the last result.
        last = np.sort(exact[number])[-found]
        above = set(np.flatnonzero(exact[number] > last + 1e-12))
        assert above <= set(mine)
        assert (exact[number, mine] >= last - 1e-12).all()
        if name == "random":
            assert set(mine) == set(true_rows[number, :found])


@pytest.mark.parametrize("precision", PASSES)
def test_only_few_blocks_are_looked_at_again(precision: str) -> None:
    search = ExactSearch(random_vectors(20_000), device="cpu", precision=precision, block=8)
    search.search(random_vectors(20, seed=1), 10)
    assert 10 / 2500 <= search.rescored < (0.005 if precision == "float16" else 0.03)


@pytest.mark.parametrize("kind", [HalfScores, Int8Scores])
@pytest.mark.parametrize("name", ["random", "tiny", "one axis", "zeros among them", "odd dimension"])
@pytest.mark.parametrize("half", [False, True])
def test_no_rough_score_is_further_off_than_its_bound(kind: type, name: str, half: bool) -> None:
    """`half`: float16 as CUDA computes it, which torch can do on the CPU as well, slowly."""
    vectors = torch.from_numpy(ugly(name)).half()
    queries = torch.from_numpy(random_vectors(30, dim=vectors.shape[1], seed=2)) * torch.logspace(-3, 3, 30)[:, None]
    rough = kind(vectors, device=torch.device("cpu"))
    if half and kind is HalfScores:
        rough._type = torch.float16
    off = (rough.scores(rough.prepare(queries), 0, len(vectors)).double() - queries.double() @ vectors.double().T).abs()
    assert (off.amax(dim=1) <= rough.error(queries)).all()
    # And the bound is of use: not far from what happens. (In float32 it allows for how tensor cores cut off.)
    if name == "random" and (half or kind is Int8Scores):
        assert (rough.error(queries) < 60 * off.amax(dim=1)).all()


@pytest.mark.parametrize("precision", PASSES)
def test_small_chunks_give_what_large_ones_give(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    vectors, queries = random_vectors(3001), random_vectors(11, seed=1)
    whole = ExactSearch(vectors, device="cpu", precision=precision).search(queries, 7)
    monkeypatch.setattr(exact_search, "_SCORES_AT_ONCE", 1)
    monkeypatch.setattr(exact_search, "_RESCORED_AT_ONCE", 1)
    pieces = ExactSearch(vectors, device="cpu", precision=precision, batch=3, block=8).search(queries, 7)
    np.testing.assert_array_equal(whole[1], pieces[1])
    np.testing.assert_array_equal(whole[0], pieces[0])


@pytest.mark.parametrize("precision", PASSES)
def test_nothing_asked_and_nothing_there(precision: str) -> None:
    search = ExactSearch(random_vectors(20), device="cpu", precision=precision)
    assert search.search(np.empty((0, 40), np.float32), 3)[1].shape == (0, 3)
    assert search.search(random_vectors(2), 0)[1].shape == (2, 0)
    empty = ExactSearch(np.empty((0, 40), np.float32), device="cpu", precision=precision)
    assert (empty.search(random_vectors(2), 3)[1] == -1).all()


def test_what_cannot_be_searched_is_refused() -> None:
    vectors = random_vectors(20)
    with pytest.raises(LookalikeError, match="`precision=int4`"):
        ExactSearch(vectors, device="cpu", precision="int4")
    with pytest.raises(LookalikeError, match="`block=12`"):
        ExactSearch(vectors, device="cpu", block=12)
    with pytest.raises(LookalikeError, match=r"shape \(2, 41\)"):
        ExactSearch(vectors, device="cpu").search(random_vectors(2, dim=41), 3)
    vectors[3, 4] = np.nan
    for precision in PASSES:
        with pytest.raises(LookalikeError, match="not finite"):
            ExactSearch(vectors, device="cpu", precision=precision)
