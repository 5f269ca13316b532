"""Cosines against a slow reference, and what has no direction."""

import numpy as np
import pytest

from src.export.runtime.cosines import centred_cosine, cosines


def test_they_are_those_of_a_slow_reference() -> None:
    rng = np.random.default_rng(0)
    found, expected = (rng.standard_normal((6, 4)).astype(np.float32) for _ in range(2))
    mean = expected.astype(np.float64).mean(axis=0)
    slow = [np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(found, expected, strict=True)]
    centred = [
        np.dot(a - mean, b - mean) / np.linalg.norm(a - mean) / np.linalg.norm(b - mean)
        for a, b in zip(found, expected, strict=True)
    ]
    np.testing.assert_allclose(cosines(found, expected), slow, atol=1e-6)
    assert centred_cosine(found, expected) == pytest.approx(min(centred), abs=1e-6)


@pytest.mark.parametrize("side", ["found", "expected"])
def test_nan_is_never_a_good_cosine(side: str) -> None:
    pair = {"found": np.eye(3, dtype=np.float32), "expected": np.eye(3, dtype=np.float32)}
    pair[side][1] = np.nan
    assert np.isnan(cosines(pair["found"], pair["expected"])[1])
    assert np.isnan(centred_cosine(pair["found"], pair["expected"]))
    pair["expected" if side == "found" else "found"][1] = 0
    assert np.isnan(cosines(pair["found"], pair["expected"])[1])


def test_a_lost_direction_is_told_from_one_that_never_was() -> None:
    something, nothing = np.array([[0.6, 0.8]], np.float32), np.zeros((1, 2), np.float32)
    assert cosines(nothing, something) == 0
    assert cosines(something, nothing) == 1
    assert cosines(nothing, nothing) == 1
    # A single image is its own mean.
    assert centred_cosine(something + 1e-7, something) == 1
