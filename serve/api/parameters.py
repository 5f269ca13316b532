"""From a request's fields to k and filters. Every field is known or refused: none is silently ignored."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from serve.bundle.filters import CHOICES, Filters
from serve.errors import Problem
from serve.path.asked import Asked
from serve.settings import DEFAULT_K, MAX_K

__all__ = ["OPENAPI", "parse_parameters"]

_PRICES = ("price_min", "price_max")
_NAMES = ("k", *CHOICES, *_PRICES, "in_stock")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_SHOWN = 40


def parse_parameters(fields: Iterable[tuple[str, str]]) -> Asked:
    """Read the fields of a form and of a query string.

    Args:
        fields: names and values; `category`, `brand` and `color` may repeat.

    Raises:
        Problem: 422, which lists every field that is unknown, repeated or outside its range.
    """
    values: dict[str, list[str]] = defaultdict(list)
    for name, value in fields:
        values[name].append(value)
    problems = [f"{_shown(name)} is unknown; allowed are {', '.join(_NAMES)}" for name in values if name not in _NAMES]
    problems += [
        f"{name} is given {len(values[name])} times; give it once"
        for name in ("k", *_PRICES, "in_stock")
        if len(values[name]) > 1
    ]
    problems += [f"{name} is empty; name a value or leave it out" for name in CHOICES if "" in values[name]]
    k = _k(values["k"], problems)
    low, high = (_price(name, values[name], problems) for name in _PRICES)
    if low is not None and high is not None and low > high:
        problems.append(f"price_min={low:g} is above price_max={high:g}; swap them")
    in_stock = _boolean("in_stock", values["in_stock"], problems)
    if problems:
        raise Problem(422, kind="invalid-parameters", detail="; ".join(problems))
    choices = {name: frozenset(values[name]) for name in CHOICES}
    return Asked(k=k, filters=Filters(**choices, price_min=low, price_max=high, in_stock=in_stock))


def _k(values: list[str], problems: list[str]) -> int:
    if not values:
        return DEFAULT_K
    if re.fullmatch("[0-9]{1,9}", values[0]) and 1 <= int(values[0]) <= MAX_K:
        return int(values[0])
    problems.append(f"k={_shown(values[0])} must be a whole number from 1 to {MAX_K}")
    return DEFAULT_K


def _price(name: str, values: list[str], problems: list[str]) -> float | None:
    if not values:
        return None
    try:
        price = float(values[0])
    except ValueError:
        price = math.nan
    if math.isfinite(price):
        return price
    problems.append(f"{name}={_shown(values[0])} must be a finite number")
    return None


def _boolean(name: str, values: list[str], problems: list[str]) -> bool | None:
    if values and values[0].lower() not in _BOOLEANS:
        problems.append(f"{name}={_shown(values[0])} must be true or false")
    return _BOOLEANS.get(values[0].lower()) if values else None


def _shown(value: str) -> str:
    """A caller's own words, quoted and cut: they come back in an error message."""
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")


def _described() -> dict[str, dict[str, Any]]:
    several = {"type": "array", "items": {"type": "string"}}
    described: dict[str, dict[str, Any]] = {
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": DEFAULT_K, "description": "Results wanted."}
    }
    described |= {name: {**several, "description": f"Only items of any of these ({name})."} for name in CHOICES}
    described |= {"price_min": {"type": "number", "description": "Lowest price, included."}}
    described |= {"price_max": {"type": "number", "description": "Highest price, included."}}
    described |= {"in_stock": {"type": "boolean", "description": "Only items that are, or are not, in stock."}}
    return described


OPENAPI = _described()
"""The fields' JSON schemas, for the description of the endpoints."""
