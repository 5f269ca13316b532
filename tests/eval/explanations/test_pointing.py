"""The pointing games by hand."""

import numpy as np

from src.eval.explanations.pointing import centre_hits, energy_inside, pointing_hits

MASK = np.zeros((1, 4, 4), bool)
MASK[0, 2:, 2:] = True


def one(**values: float) -> np.ndarray:
    found = np.zeros((1, 4, 4))
    for at, value in values.items():
        found[0, int(at[1]), int(at[2])] = value
    return found


def test_the_highest_pixel_counts() -> None:
    assert pointing_hits(one(p22=2, p00=1), MASK).tolist() == [1]
    assert pointing_hits(one(p22=1, p00=2), MASK).tolist() == [0]
    # A large negative value is no peak.
    assert pointing_hits(one(p22=1, p00=-9), MASK).tolist() == [1]
    assert pointing_hits(np.full((1, 4, 4), -3.0) + one(p33=1), MASK).tolist() == [1]
    # Of equals the middle one, not the first.
    assert pointing_hits(one(p11=1, p22=1, p33=1), MASK).tolist() == [1]
    assert pointing_hits(one(p00=1, p01=1, p02=1, p33=1), MASK).tolist() == [0]


def test_energy_is_the_positive_share() -> None:
    assert energy_inside(one(p22=3, p00=1), MASK).tolist() == [0.75]
    assert energy_inside(one(p22=3, p00=-1), MASK).tolist() == [1.0]
    # Nothing positive: as a constant map.
    for nothing in (np.zeros((1, 4, 4)), np.full((1, 4, 4), -1.0), np.ones((1, 4, 4))):
        assert energy_inside(nothing, MASK).tolist() == [0.25]


def test_the_centre_is_a_pixel() -> None:
    assert centre_hits(MASK).tolist() == [1]
    assert centre_hits(~MASK).tolist() == [0]
    constant = np.ones((1, 5, 5))
    middle = np.zeros((1, 5, 5), bool)
    middle[0, 2, 2] = True
    assert pointing_hits(constant, middle).tolist() == centre_hits(middle).tolist() == [1]
