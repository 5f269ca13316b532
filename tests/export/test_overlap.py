"""The share of neighbours that a lower precision finds, against a slow reference."""

import numpy as np
import pytest

from src.contracts.errors import GateError
from src.export.overlap import check_overlap, recall_overlap


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("noise", [0, 0.05, 1])
def test_it_is_the_mean_share_of_the_ten_nearest(noise: float) -> None:
    rng = np.random.default_rng(0)
    true_queries, true_gallery = unit(rng, 20), unit(rng, 200)
    queries = true_queries + noise * unit(rng, 20)
    gallery = true_gallery + noise * unit(rng, 200)
    shares = []
    for query, true_query in zip(queries, true_queries, strict=True):
        true = sorted(range(200), key=lambda row, q=true_query: -float(q @ true_gallery[row]))[:10]
        found = sorted(range(200), key=lambda row, q=query: -float(q @ gallery[row]))[:10]
        shares.append(len(set(true) & set(found)) / 10)
    assert recall_overlap(queries, gallery, true_queries, true_gallery) == pytest.approx(np.mean(shares))


def test_equal_images_are_equally_right() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = unit(rng, 5), np.tile(unit(rng, 30)[:15], (2, 1))
    other = gallery[::-1]
    assert recall_overlap(queries, gallery, queries, gallery) == 1
    # Of two equal images the other one is found.
    assert recall_overlap(queries, gallery + 1e-7 * np.sign(other), queries, gallery) == 1


def test_fewer_images_than_ten_are_all_found() -> None:
    rng = np.random.default_rng(0)
    assert recall_overlap(unit(rng, 3), unit(rng, 4), unit(rng, 3), unit(rng, 4)) == 1


def test_nan_and_too_little_overlap_are_refused() -> None:
    check_overlap(0.98, precision="int8", index_precision="fp32", min_overlap=0.98)
    for overlap in (0.97, float("nan")):
        with pytest.raises(
            GateError, match=r"queries of int8 against a gallery of fp32 find .*`gates\.min_overlap=0\.98`"
        ):
            check_overlap(overlap, precision="int8", index_precision="fp32", min_overlap=0.98)


def test_embeddings_of_nan_overlap_with_nothing() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = unit(rng, 5), unit(rng, 100)
    assert not recall_overlap(np.full_like(queries, np.nan), gallery, queries, gallery) >= 0.98
