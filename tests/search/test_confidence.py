"""What a bundle says of its answers' confidence."""

import json
from pathlib import Path

import numpy as np
import pytest

from src.contracts.bundle import CONFIDENCE
from src.contracts.errors import BundleError
from src.search import Searcher
from src.search.confidence import Confidence, Estimate
from tests.search.small_bundle import Shop, catalogue, write_bundle

STEPS = Confidence(
    margin_weight=0.5,
    starts=[0.2, 0.6, 0.8],
    right=[0.1, 0.5, 0.9],
    low=[0.05, 0.4, 0.8],
    high=[0.2, 0.6, 0.95],
    least_score=0.55,
    false_alarms=0.4,
    queries=300,
    products=50,
)


def test_a_step_holds_from_its_start_and_the_outer_ones_hold_beyond() -> None:
    assert STEPS.of(0.6, 0.6) == Estimate(right=0.5, low=0.4, high=0.6, in_catalogue=True)
    assert STEPS.of(0.54, 0.1) == Estimate(right=0.5, low=0.4, high=0.6, in_catalogue=False)  # .54 + .5 * .44 = .76
    assert STEPS.of(-1.0, -1.0).right == 0.1
    assert STEPS.of(1.0, 0.9).right == 0.9
    first, second = np.array([0.6, -1.0, 1.0]), np.array([0.6, -1.0, 0.9])
    assert STEPS.probabilities(first, second).tolist() == [0.5, 0.1, 0.9]


def test_what_is_written_is_read() -> None:
    assert Confidence.from_dict(json.loads(STEPS.to_json())) == STEPS


def test_a_searcher_states_its_bundles_confidence(tmp_path: Path, shop: Shop, searcher: Searcher) -> None:
    assert searcher.estimate(searcher.search(shop.pictures[0])) is None, "the bundle has none"
    root = tmp_path / "bundle"
    write_bundle(root, catalogue(12), further=lambda folder: (folder / CONFIDENCE).write_text(STEPS.to_json()))
    other = Searcher.open(root, threads=1)
    hits = other.search(shop.pictures[0], k=3)
    assert other.estimate(hits) == STEPS.of(hits[0].score or 0.0, hits[1].score or 0.0)
    assert other.estimate(hits[:1]) is None


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for name, text in {"no JSON": "{", "other fields": '{"right": []}'}.items():
        root = tmp_path / name
        write_bundle(root, catalogue(12), further=lambda folder, text=text: (folder / CONFIDENCE).write_text(text))
        with pytest.raises(BundleError, match=r"confidence\.json cannot be read"):
            Searcher.open(root, threads=1)
