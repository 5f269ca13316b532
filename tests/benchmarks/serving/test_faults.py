"""Faults on a small service, and what the verdicts go by."""

import json
from pathlib import Path

import pytest

from benchmarks.serving.connection import Answer
from benchmarks.serving.fault_cases import CASES, Loaded, Setting
from benchmarks.serving.load import Outcome
from benchmarks.serving.truth import Truth
from tests.search.small_bundle import Shop

RIGHT = [("a", 0.9), ("b", 0.5), ("c", 0.50002)]


def outcome(found: list[tuple[str, float]] | None, *, status: int = 200, failure: str = "") -> Outcome:
    body = json.dumps({"results": [{"item_id": name, "score": score} for name, score in found or []]})
    answer = Answer(status, body.encode(), {}) if found is not None else None
    return Outcome(2, 1.0, 1.0, 1.1, answer, failure)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (RIGHT, False),
        ([("a", 0.90005), ("c", 0.5), ("b", 0.5)], False),
        ([("a", 0.9), ("b", 0.5), ("d", 0.5)], False),
        ([("b", 0.9), ("a", 0.5), ("c", 0.5)], True),
        ([("d", 0.9), ("b", 0.5), ("c", 0.5)], True),
        ([("a", 0.8), ("b", 0.5), ("c", 0.5)], True),
        (RIGHT[:2], True),
        ([], True),
    ],
    ids=["equal", "tied", "tied with one below the last", "swapped", "another", "score", "short", "empty"],
)
def test_what_a_wrong_answer_is(found: list[tuple[str, float]], wrong: bool) -> None:
    assert Truth([[("x", 1.0)], [("y", 1.0)], RIGHT]).wrong(outcome(found)) == wrong


def test_no_answer_and_a_refusal_are_not_wrong_but_need_an_excuse() -> None:
    truth = Truth([[], [], RIGHT])
    for bad in (outcome(None), outcome([], status=503)):
        assert not truth.wrong(bad)
        loaded = Loaded([outcome(RIGHT), bad], truth, [])
        assert not loaded.verdict("x", "y").holds
        assert loaded.verdict("x", "y", excused=lambda one: one.status != 200).holds
        assert not loaded.verdict("x", "y", excused=lambda one: True, holds=False).holds
    hung = outcome(None, failure="no answer within 10 s")
    assert not Loaded([outcome(RIGHT), hung], truth, []).verdict("x", "y", excused=lambda one: True).holds
    assert not Loaded([outcome(RIGHT[:1])], truth, []).verdict("x", "y").holds
    assert Loaded([outcome(RIGHT)], truth, []).verdict("x", "y").holds


def test_a_fallback_that_says_so_is_not_wrong_but_needs_an_excuse() -> None:
    body = json.dumps({"rung": "trending", "results": [{"item_id": "z", "score": None}]}).encode()
    fallback = Outcome(0, 1.0, 1.0, 1.1, Answer(200, body, {}))
    loaded = Loaded([outcome(RIGHT), fallback], Truth([[], [], RIGHT]), [])
    assert not loaded.verdict("x", "y").holds
    assert loaded.verdict("x", "y", excused=Truth.fallback).holds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encoder", "index", "disconnects", "slow", "sigterm"])
def test_a_fault_on_a_small_service(name: str, shop: Shop, tmp_path: Path) -> None:
    setting = Setting(shop.root, shop.pictures[:5], rate=20, seconds=1.5, scratch=tmp_path)
    check = CASES[name](setting)
    assert check.holds, check
    assert (name == "encoder") == ("fallbacks 0" not in check.found)
