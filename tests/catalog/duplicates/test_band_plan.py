"""Bands find what they promise, as often as they say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.catalog.duplicates.band_plan import BandPlan
from src.contracts.errors import ConfigError

PLANS = [BandPlan(bands=bands, radius=radius) for bands in (8, 16, 32) for radius in (0, 1)]


def found_share(plan: BandPlan, bits: int, draws: int) -> float:
    """By drawing: the share of random sets of bits that leave a band with at most `radius` of them."""
    rng = np.random.default_rng(bits)
    places = np.argsort(rng.random((draws, 256)), axis=1)[:, :bits]
    counts = np.stack([(places // plan.width == band).sum(axis=1) for band in range(plan.bands)], axis=1)
    return float((counts.min(axis=1) <= plan.radius).mean())


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_probabilities_are_those_of_drawing(plan: BandPlan) -> None:
    for bits in (plan.guaranteed + 1, plan.guaranteed + 5, 40, 60):
        assert plan.probability(bits) == pytest.approx(found_share(plan, bits, 4_000), abs=0.03)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_pair_up_to_the_guarantee_is_found(plan: BandPlan) -> None:
    assert plan.probability(0) == plan.probability(plan.guaranteed) == 1
    assert plan.probability(plan.guaranteed + 1) < 1


def test_values_are_the_bits_of_each_band() -> None:
    hashes = np.random.default_rng(0).integers(0, 256, (5, 32), np.uint8)
    bits = np.unpackbits(hashes, axis=1)
    for plan in PLANS:
        expected = [[int("".join(map(str, band)), 2) for band in np.split(row, plan.bands)] for row in bits]
        np.testing.assert_array_equal(plan.values(hashes), expected)


def test_candidates_of_random_hashes_are_as_many_as_expected() -> None:
    plan = BandPlan(bands=32, radius=0)
    values = plan.values(np.random.default_rng(1).integers(0, 256, (2_000, 32), np.uint8))
    pairs = (values[:, None, :50] == values[None, :200]).sum() - 200 * 32
    assert pairs / 200 == pytest.approx(plan.expected_candidates(2_000), rel=0.05)


def test_plans_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"bands=7: must be 8, 16 or 32; radius=2: must be 0 or 1"):
        BandPlan(bands=7, radius=2)


def test_the_command_prints_a_table(repository: Path) -> None:
    command = [sys.executable, "-m", "src.catalog.duplicates.bands", "--bands", "16", "--bits", "31", "40"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    assert "16 of 16" in done.stdout
    assert "1.000" in done.stdout
    wrong = subprocess.run([*command, "300"], cwd=repository, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--bits 300: must lie in 0..256" in wrong.stderr
