"""Bins, categories and photo statistics against slow formulas; files of other versions are refused."""

import io
from pathlib import Path

import numpy as np
import pytest

from src.contracts.drift_reference import (
    BINS,
    count_bins,
    count_categories,
    count_slices,
    find_bins,
    input_statistics,
    number_categories,
    read_drift_reference,
    thinned,
)
from src.contracts.effective_rank import effective_rank
from src.contracts.errors import BundleError


def test_bins_are_edges_reached_and_nan_is_in_none() -> None:
    edges = np.array([[0, 1, 1.5, *[np.inf] * 6], [*[np.inf] * 9]], np.float32)
    values = np.array([[-1, 5], [0, 5], [1.2, np.nan], [np.nan, -np.inf], [np.inf, 0]], np.float32)
    bins = find_bins(values, edges)
    assert bins[:, 0].tolist() == [0, 1, 2, BINS, 9]
    assert bins[:, 1].tolist() == [0, 0, BINS, 0, 0]
    counts = count_bins(bins)
    assert counts.sum(axis=1).tolist() == [4, 4]
    assert counts[0, [0, 1, 2, 9]].tolist() == [1, 1, 1, 1]


def test_categories_are_numbered_and_those_that_are_unknown_are_counted_nowhere() -> None:
    numbers = number_categories(["bags", None, "tents", "hats", "", "bags"], {"bags": 0, "hats": 1})
    assert numbers.tolist() == [0, -1, 2, 1, -1, 0]
    assert count_categories(numbers, 2).tolist() == [2, 1, 1]
    bins = np.arange(12, dtype=np.uint8).reshape(6, 2) % BINS
    slices = count_slices(bins, numbers, categories=2, dim=1)
    assert slices.shape == (2, 1, BINS)
    assert slices.sum(axis=(1, 2)).tolist() == [2, 1]
    assert np.flatnonzero(slices[0, 0]).tolist() == sorted(set(bins[[0, 5], 1].tolist()))


def test_photo_statistics_are_those_of_a_slow_loop() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    pixels[0, :, :4] = 90
    found = input_statistics(pixels, np.array([[40, 20], [20, 40], [30, 30]]))
    for number, image in enumerate(pixels.reshape(3, -1, 3).astype(int)):
        luma = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in image]
        grey = [max(pixel) - min(pixel) <= 8 for pixel in image]
        assert found[number, 0] == pytest.approx(np.mean(luma), rel=1e-5)
        assert found[number, 4] == pytest.approx(np.mean(grey))
    assert found[:, 1:4].tolist() == [[40, 20, 2], [20, 40, 0.5], [30, 30, 1]]
    small = thinned(pixels)
    np.testing.assert_array_equal(small, pixels[:, ::4, ::4])
    assert small.base is None


@pytest.mark.parametrize("seed", range(4))
def test_the_effective_rank_is_that_of_the_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((50, 6)) * [5, 3, 1, 1, 0.1, 0.01] + 7
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    shares = singular / singular.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(50, vectors.sum(axis=0), vectors.T @ vectors) == pytest.approx(expected, rel=1e-6)


def test_the_effective_rank_of_little_is_small() -> None:
    line = np.outer(np.arange(9.0), [1, 2, 3])
    assert effective_rank(9, line.sum(axis=0), line.T @ line) == pytest.approx(1, abs=1e-6)
    same = np.ones((9, 3))
    assert effective_rank(9, same.sum(axis=0), same.T @ same) == 0
    assert effective_rank(0, np.zeros(3), np.zeros((3, 3))) == 0


def test_references_of_other_versions_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", mean=np.zeros(3))
    with pytest.raises(BundleError, match="of an older version, which has no bins; export the bundle again"):
        read_drift_reference(tmp_path / "old.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "none.npz").write_bytes(b"no archive")
    pickled = io.BytesIO()
    np.savez(pickled, format=np.array([{}], object), allow_pickle=True)
    (tmp_path / "pickled.npz").write_bytes(pickled.getvalue())
    for name in ("empty.npz", "none.npz", "pickled.npz", "absent.npz"):
        with pytest.raises(BundleError, match="no readable drift reference"):
            read_drift_reference(tmp_path / name)
