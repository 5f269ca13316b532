"""Stored neighbours: what a runtime finds of them, and what is no such file."""

from pathlib import Path

import numpy as np
import pytest

from src.contracts.errors import BundleError
from src.export.runtime.neighbours import Neighbours, neighbour_overlap, read_neighbours, write_neighbours


def embed(pixels: np.ndarray) -> np.ndarray:
    """The first pixel's row as a direction, whatever the batch."""
    vectors = pixels[:, 0].reshape(len(pixels), -1).astype(np.float32) - 127.5
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def neighbours(queries: int = 20, images: int = 100, *, seed: int = 0) -> Neighbours:
    rng = np.random.default_rng(seed)
    pixels, others = (rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8) for count in (queries, images))
    return Neighbours(pixels, embed(others), embed(pixels) @ embed(others).T)


@pytest.mark.parametrize("noise", [0, 0.02, 0.5])
def test_it_is_the_share_of_the_ten_nearest(noise: float) -> None:
    stored = neighbours()
    moved = noise * np.random.default_rng(1).standard_normal((20, 24)).astype(np.float32)
    shares = []
    for row, cosines in enumerate(stored.cosines):
        true = sorted(range(100), key=lambda image, c=cosines: -c[image])[:10]
        query = embed(stored.queries[row : row + 1])[0] + moved[row]
        found = sorted(range(100), key=lambda image, q=query: -float(q @ stored.gallery[image]))[:10]
        shares.append(len(set(true) & set(found)) / 10)
    done = 0

    def noisy(pixels: np.ndarray) -> np.ndarray:
        nonlocal done
        done += len(pixels)
        assert len(pixels) <= 8
        return embed(pixels) + moved[done - len(pixels) : done]

    assert stored.overlap(noisy) == pytest.approx(np.mean(shares))
    assert (np.mean(shares) == 1) == (noise == 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_single_number_that_is_none_is_no_overlap(bad: float) -> None:
    stored = neighbours()

    def broken(pixels: np.ndarray) -> np.ndarray:
        vectors = embed(pixels)
        vectors[0, 0] = bad
        return vectors

    assert np.isnan(stored.overlap(broken))


def test_constant_embeddings_find_what_chance_finds() -> None:
    stored = neighbours()
    assert stored.overlap(lambda pixels: np.ones((len(pixels), 24), np.float32)) < 0.3


def test_equal_neighbours_are_equally_right() -> None:
    true = np.array([[0.9, 0.5, 0.5 + 1e-6, 0.1]])
    assert neighbour_overlap(np.array([[0.9, 0.6, 0.2, 0.1]]), true, k=2) == 1
    assert neighbour_overlap(np.array([[0.9, 0.1, 0.2, 0.6]]), true, k=2) == 0.5


def test_they_come_back_as_they_were_written_and_equal_ones_are_equal_files(tmp_path: Path) -> None:
    stored = neighbours()
    for name in ("a.npz", "b.npz"):
        write_neighbours(tmp_path / name, stored)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_neighbours(tmp_path / "a.npz")
    for name in ("queries", "gallery", "cosines"):
        np.testing.assert_array_equal(getattr(found, name), getattr(stored, name))


def test_what_are_no_neighbours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "other.npz", queries=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", queries=np.array([{}], dtype=object), allow_pickle=True)
    for name in ("text.npz", "other.npz", "pickled.npz", "absent.npz"):
        with pytest.raises(BundleError, match="not readable neighbours"):
            read_neighbours(tmp_path / name)
    stored = neighbours()
    for wrong in (
        Neighbours(stored.queries, stored.gallery, stored.cosines[:, 1:]),
        Neighbours(stored.queries[:0], stored.gallery, stored.cosines[:0]),
    ):
        write_neighbours(tmp_path / "wrong.npz", wrong)
        with pytest.raises(BundleError, match="have cosines of shape"):
            read_neighbours(tmp_path / "wrong.npz")
