"""SIFT with a visual vocabulary: each step against a loop, and the pictures that have nothing to hold on to."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from src.contracts.errors import LookalikeError
from src.models.sift_vlad import SiftVlad, _whitening, fit_sift_vlad, root_sift, vlad
from tests.pictures import smooth_picture

SIDE = 96
BLANK = np.full((SIDE, SIDE, 3), 255, np.uint8)


def views(label: int, count: int) -> list[np.ndarray]:
    """Crops of one picture that overlap by most of it."""
    large = smooth_picture(SIDE + 16, SIDE + 16, seed=label)
    return [np.ascontiguousarray(large[3 * n : 3 * n + SIDE, 2 * n : 2 * n + SIDE]) for n in range(count)]


@pytest.fixture(scope="module")
def fitted() -> SiftVlad:
    return fit_sift_vlad([np.stack(views(label, 2)) for label in range(20, 40)], words=8, dim=24)


def test_root_sift_is_the_root_of_the_l1_normalised_descriptor() -> None:
    image = views(0, 1)[0]
    _, raw = cv2.SIFT.create(nfeatures=300).detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
    found = root_sift(image)
    assert found.dtype == np.float32
    assert len(found) == len(raw) > 3
    for ours, theirs in zip(found, raw, strict=True):
        np.testing.assert_allclose(ours, np.sqrt(theirs / theirs.sum()), atol=1e-6)
    assert root_sift(BLANK).shape == (0, 128)


def vlad_by_hand(descriptors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    blocks = []
    words = [min(range(len(centres)), key=lambda word: ((found - centres[word]) ** 2).sum()) for found in descriptors]
    for word, centre in enumerate(centres):
        block = np.zeros(len(centre))
        for found, nearest in zip(descriptors, words, strict=True):
            if nearest == word:
                block += found - centre
        blocks.append(block / np.linalg.norm(block) if np.linalg.norm(block) > 1e-6 else 0 * block)
    whole = np.concatenate([np.sign(block) * np.sqrt(np.abs(block)) for block in blocks])
    return whole / np.linalg.norm(whole)


def test_vlad_sums_residuals_by_word() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        dim, words = int(rng.integers(1, 7)), int(rng.integers(1, 6))
        descriptors = rng.standard_normal((int(rng.integers(1, 30)), dim)).astype(np.float32)
        centres = rng.standard_normal((words, dim)).astype(np.float32)
        np.testing.assert_allclose(vlad(descriptors, centres), vlad_by_hand(descriptors, centres), atol=1e-4)


def test_nothing_to_sum_is_a_vector_of_equal_numbers() -> None:
    centres = np.eye(3, 4, dtype=np.float32)
    for nothing in (np.empty((0, 4), np.float32), centres[[0, 2]]):
        np.testing.assert_allclose(vlad(nothing, centres), np.full(12, 12**-0.5), rtol=1e-6)


def test_another_view_is_nearer_than_another_picture(fitted: SiftVlad) -> None:
    first, second = (np.stack([views(label, 4)[n] for label in range(15)]) for n in (0, 3))
    asked, found = fitted(first), fitted(second)
    assert (asked.dtype, asked.shape) == (np.float32, (15, fitted.dim))
    np.testing.assert_allclose(np.linalg.norm(asked, axis=1), 1, atol=1e-5)
    # Chance is one of 15.
    assert ((asked @ found.T).argmax(axis=1) == np.arange(15)).sum() >= 10


def test_pictures_without_keypoints_have_a_vector(fitted: SiftVlad) -> None:
    alike = fitted(np.stack([BLANK, 0 * BLANK, views(1, 1)[0]]))
    np.testing.assert_allclose(np.linalg.norm(alike, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(alike[0], alike[1])
    assert alike[0] @ alike[2] < 0.99


def test_the_same_images_give_the_same_vectors_whatever_the_batch(fitted: SiftVlad) -> None:
    images = np.stack([view for label in range(20, 40) for view in views(label, 2)])
    again = fit_sift_vlad([images[:13], images[13:]], words=8, dim=24)
    np.testing.assert_array_equal(again(images[:5]), fitted(images[:5]))
    np.testing.assert_allclose(fitted(images[:5])[2], fitted(images[2:3])[0], atol=1e-5)


def test_few_images_and_few_keypoints_make_a_small_vocabulary() -> None:
    small = fit_sift_vlad(iter([np.stack([views(0, 1)[0], BLANK, views(1, 1)[0]])]), words=64, dim=256)
    assert small.dim == 2
    assert np.isfinite(small(np.stack([BLANK]))).all()
    assert 1 <= small.words <= 64


def test_the_whitening_decorrelates_the_training_images() -> None:
    rng = np.random.default_rng(0)
    vlads = rng.standard_normal((40, 6)) @ rng.standard_normal((6, 90))
    centred = (vlads - vlads.mean(axis=0)).astype(np.float32)
    projected = centred @ _whitening(centred, 100)
    # Six directions hold all of it.
    np.testing.assert_allclose(np.cov(projected.T), np.eye(6), atol=1e-4)
    first = centred @ _whitening(centred, 2)
    np.testing.assert_allclose(np.abs(first), np.abs(projected[:, :2]), atol=1e-4)


def none() -> Iterator[np.ndarray]:
    yield from ()


@pytest.mark.parametrize("batches", [[np.stack([BLANK, BLANK])], none(), [views(0, 1)[0][None]]])
def test_nothing_to_learn_from_is_refused(batches: list) -> None:
    with pytest.raises(LookalikeError, match="at least 2 training images with SIFT keypoints"):
        fit_sift_vlad(batches)


def test_images_that_differ_in_no_keypoint_are_refused() -> None:
    spot = BLANK.copy()
    cv2.circle(spot, (48, 48), 8, (0, 0, 0), -1)
    with pytest.raises(LookalikeError, match="have the same SIFT descriptors"):
        fit_sift_vlad([np.stack([spot, spot, BLANK])])
