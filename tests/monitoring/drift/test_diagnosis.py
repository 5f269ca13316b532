"""Verdicts, suspects and their examples."""

import numpy as np

from src.monitoring.drift.canary import Canary
from src.monitoring.drift.comparison import compare
from src.monitoring.drift.diagnosis import diagnose

GOOD = Canary("", 0.99999, 0.0)


def verdict(window, reference, canary: Canary | None) -> str:
    window.canary = canary
    return diagnose(window, compare(window, reference, windows_per_month=720), reference).verdict


def dark(found: dict) -> dict:
    return {**found, "inputs": found["inputs"] * np.array([0.5, 1, 1, 1, 1], np.float32)}


def scored(found: dict) -> dict:
    return {**found, "top_scores": found["top_scores"] * np.float32(0.7)}


def test_the_canary_tells_the_encoder_from_the_queries(window, reference) -> None:
    assert "Nothing differs" in verdict(window(0, 500), reference, GOOD)
    assert "the queries have changed. Look at brightness" in verdict(window(0, 500, dark), reference, GOOD)
    assert "what converts photos before" in verdict(window(0, 500, scored), reference, GOOD)
    assert "it is not known which" in verdict(window(0, 500, dark), reference, None)
    changed = verdict(window(0, 500, dark), reference, Canary("golden image 0: its pixels differ", float("nan"), 0.0))
    assert changed.startswith("The encoder, or what decodes photos for it, has changed: golden image 0")
    assert "Nothing was tested" in verdict(window(0, 50), reference, GOOD)


def test_suspects_name_queries_in_the_bin_that_is_too_full(window, reference) -> None:
    made = window(0, 500, dark)
    found = diagnose(made, compare(made, reference, windows_per_month=720), reference)
    assert found.suspects[0].finding.name == "brightness"
    assert found.suspects[0].bin == 0
    row = reference.names.index("brightness")
    for example in found.suspects[0].examples:
        assert example.request.startswith("request-")
        assert made.examples.bins[made.examples.ids.index(example.request), row] == 0
    assert 1 <= len(found.suspects[0].examples) <= 6


def test_examples_of_a_slice_are_of_its_category(window, reference) -> None:
    def boots(found: dict) -> dict:
        of = np.array(found["categories"]) == "boots"
        return {**found, "top_scores": np.where(of, 0.2, found["top_scores"]).astype(np.float32)}

    made = window(0, 1000, boots)
    found = diagnose(made, compare(made, reference, windows_per_month=720), reference)
    slices = [suspect for suspect in found.suspects if suspect.family == "slices"]
    assert slices[0].finding.name == "top_score in boots"
    assert {example.category for example in slices[0].examples} == {"boots"}


def test_a_new_category_is_shown_by_its_queries(window, reference) -> None:
    made = window(0, 500, lambda found: {**found, "categories": ["tents"] * 120 + found["categories"][120:]})
    found = diagnose(made, compare(made, reference, windows_per_month=720), reference)
    (suspect,) = (one for one in found.suspects if one.family == "categories")
    assert {example.category for example in suspect.examples} == {"tents"}
