import doctest

import numpy as np
import pytest

from src.monitoring.experiments import multiplicity
from src.monitoring.experiments.multiplicity import benjamini_hochberg, holm


def test_published_example() -> None:
    # The p-values and rejections of the worked example in Benjamini and Hochberg (1995, section 3.2): of 15 comparisons
    # their procedure at .05 rejects 4, Holm's 3.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4
    assert (holm(p) <= 0.05).sum() == 3


def test_holm_written_out_on_random_values_with_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = np.round(rng.random(rng.integers(1, 8)) ** 3, 2)
        order = sorted(range(len(p)), key=lambda k: p[k])
        expected, worst = np.zeros(len(p)), 0.0
        for place, k in enumerate(order):
            worst = max(worst, min(1.0, (len(p) - place) * p[k]))
            expected[k] = worst
        assert holm(p) == pytest.approx(expected)


def test_none_is_none() -> None:
    assert len(holm([])) == len(benjamini_hochberg([])) == 0


def test_examples_run() -> None:
    assert doctest.testmod(multiplicity).failed == 0
