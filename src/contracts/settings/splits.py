"""Settings of the ways to divide a catalogue into training, validation and test."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "MADE_BEFORE",
    "ORDERS",
    "SPLIT_WAYS",
    "CountSplitSettings",
    "TimeSplitSettings",
    "count_problems",
    "parse_date",
    "time_problems",
]

MISSING: Any = "???"

SPLIT_WAYS = ("given", "product", "count", "time", "file")
ORDERS = ("name", "listed", "random")

MADE_BEFORE: Mapping[str, Any] = {
    "csv": {"delimiter": "", "encoding": "", "decimal": "point"},
    "split_file": "",
    "leakage": "off",
    "time": {"val_from": "", "test_from": ""},
    "count": {"train": 0, "val": 0, "order": "name", "joint_gallery": False, "ask": "unseen"},
}
"""What checkpoints trained with that were made before these settings were."""


@dataclass
class TimeSplitSettings:
    """Train on what was listed first, validate and test on what came later.

    Attributes:
        val_from: ISO date (`2025-11-01`) or month (`2025-11`), UTC, from which on items are for validation.
        test_from: the same for the test; empty for no test.
    """

    val_from: str = MISSING
    test_from: str = MISSING


@dataclass
class CountSplitSettings:
    """Train on the first products of an order, validate on the next, test on all others.

    Attributes:
        train: products that are trained on.
        val: products that are for validation; what is left after them is for the test.
        order: `name` (numbers inside names count as numbers), `listed` (as they come in the catalogue), or `random` (by
            `data.split_seed`).
        joint_gallery: whether validation and test queries search the gallery images of both.
        ask: `unseen` validates and tests with products that are not trained on; `seen` with the images of the trained
            products that the catalogue's own split column sets aside, which neither trains on.
    """

    train: int = MISSING
    val: int = MISSING
    order: str = MISSING
    joint_gallery: bool = MISSING
    ask: str = MISSING


def parse_date(text: str) -> datetime:
    """An ISO date, time or month as a moment, UTC where it names no zone.

    Raises:
        ValueError: it is none of these.
    """
    moment = datetime.fromisoformat(f"{text}-01" if len(text) == len("2025-11") else text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def count_problems(count: CountSplitSettings) -> list[str]:
    """What cannot work, a line each."""
    problems = []
    if count.train < 1:
        problems.append(f"`data.count.train={count.train}`: products to train on, at least 1; 100 for CUB-200")
    if count.val < 0:
        problems.append(f"`data.count.val={count.val}`: products for validation, 0 for none")
    if count.order not in ORDERS:
        problems.append(f"`data.count.order={count.order}`: must be one of {', '.join(ORDERS)}")
    if count.ask not in ("unseen", "seen"):
        problems.append(f"`data.count.ask={count.ask}`: must be unseen or seen")
    return problems


def time_problems(time: TimeSplitSettings) -> list[str]:
    """What cannot work, a line each."""
    problems, dates = [], []
    for name in ("val_from", "test_from"):
        text = getattr(time, name)
        if not text and name == "test_from":
            continue
        try:
            dates.append(parse_date(text))
        except ValueError:
            problems.append(f"`data.time.{name}={text}`: neither an ISO date (2025-11-01) nor a month (2025-11)")
    if len(dates) == 2 and dates[0] >= dates[1]:
        problems.append(
            f"`data.time.val_from={time.val_from}`, `data.time.test_from={time.test_from}`: validation must begin "
            "before the test"
        )
    return problems
