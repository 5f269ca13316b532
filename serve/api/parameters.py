"""From a request's fields to k and filters. Every field is known or refused: none is silently ignored."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

from serve.bundle.filters import CHOICES, Filters
from serve.errors import Problem
from serve.path.asked import Asked
from serve.path.box import Box
from serve.settings import DEFAULT_K, MAX_K, MAX_OFFSET

__all__ = ["BOX", "OPENAPI", "parse_nothing", "parse_parameters"]

_PRICES = ("price_min", "price_max")
_ONCE = ("k", "q", "offset", "dedupe", *_PRICES, "in_stock", "timings")
_NAMES = ("k", "q", *CHOICES, *_PRICES, "in_stock", "offset", "dedupe", "timings")
_DEDUPE = ("item", "parent")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_SHOWN = 40
_LONGEST_Q = 200


def parse_parameters(fields: Iterable[tuple[str, str]], *, photo: bool = False) -> Asked:
    """Read the fields of a body and of a query string.

    Args:
        fields: names and values; `category`, `brand` and `color` may repeat.
        photo: whether a photo is searched for, of which `box` can be a part.

    Raises:
        Problem: 422, which lists every field that is unknown, repeated or outside its range.
    """
    values: dict[str, list[str]] = defaultdict(list)
    for name, value in fields:
        values[name].append(value)
    names = (*_NAMES, "box") if photo else _NAMES
    problems = [f"{_shown(name)} is unknown; allowed are {', '.join(names)}" for name in values if name not in names]
    problems += [
        f"{name} is given {len(values[name])} times; give it once"
        for name in (*_ONCE, "box")
        if name in values and len(values[name]) > 1
    ]
    problems += [f"{name} is empty; name a value or leave it out" for name in CHOICES if "" in values[name]]
    problems += [
        f"{name} holds a NUL; no catalogue has one"
        for name in (*CHOICES, "q")
        if any("\0" in one for one in values[name])
    ]
    k = _whole("k", values["k"], DEFAULT_K, 1, MAX_K, problems)
    offset = _whole("offset", values["offset"], 0, 0, MAX_OFFSET, problems)
    low, high = (_price(name, values[name], problems) for name in _PRICES)
    if low is not None and high is not None and low > high:
        problems.append(f"price_min={low:g} is above price_max={high:g}; swap them")
    in_stock = _boolean("in_stock", values["in_stock"], problems)
    timings = _boolean("timings", values["timings"], problems)
    dedupe = values["dedupe"][0] if values["dedupe"] else "item"
    if dedupe not in _DEDUPE:
        problems.append(f"dedupe={_shown(dedupe)} must be {' or '.join(_DEDUPE)}")
    q = values["q"][0] if values["q"] else ""
    if len(q) > _LONGEST_Q:
        problems.append(f"q has {len(q)} characters; at most {_LONGEST_Q} are read")
    box = _box(values["box"], problems) if photo else None
    if problems:
        raise Problem(422, kind="invalid-parameters", detail="; ".join(problems))
    choices = {name: frozenset(values[name]) for name in CHOICES}
    filters = Filters(**choices, price_min=low, price_max=high, in_stock=in_stock)
    return Asked(k=k, filters=filters, offset=offset, dedupe=dedupe, timings=bool(timings), q=q, box=box)


def parse_nothing(fields: Iterable[tuple[str, str]]) -> None:
    """Refuse fields where none is taken; raises `Problem` 422."""
    names = sorted({_shown(name) for name, _ in fields})
    if names:
        raise Problem(422, kind="invalid-parameters", detail=f"{', '.join(names[:5])}: unknown; none is taken here")


def _whole(name: str, values: list[str], default: int, least: int, most: int, problems: list[str]) -> int:
    if not values:
        return default
    if re.fullmatch("[0-9]{1,9}", values[0]) and least <= int(values[0]) <= most:
        return int(values[0])
    problems.append(f"{name}={_shown(values[0])} must be a whole number from {least} to {most}")
    return default


def _box(values: list[str], problems: list[str]) -> Box | Literal["auto"] | None:
    if not values:
        return None
    if values[0] == "auto":
        return "auto"
    try:
        return Box.parse(values[0])
    except ValueError as error:
        problems.append(f"box={_shown(values[0])} {error}; or it is auto")
        return None


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
    several = {"type": "array", "items": {"type": "string", "minLength": 1}}
    described: dict[str, dict[str, Any]] = {
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": DEFAULT_K, "description": "Results wanted."}
    }
    described |= {
        "q": {
            "type": "string",
            "maxLength": _LONGEST_Q,
            "description": "Words, for the case that images cannot be compared at the moment.",
        }
    }
    described |= {name: {**several, "description": f"Only items of any of these ({name})."} for name in CHOICES}
    described |= {"price_min": {"type": "number", "description": "Lowest price, included."}}
    described |= {"price_max": {"type": "number", "description": "Highest price, included."}}
    described |= {"in_stock": {"type": "boolean", "description": "Only items that are, or are not, in stock."}}
    described |= {
        "offset": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_OFFSET,
            "default": 0,
            "description": "Results passed over: those of the pages before.",
        },
        "dedupe": {
            "type": "string",
            "enum": list(_DEDUPE),
            "default": "item",
            "description": "One result for each item, or for each parent (product).",
        },
        "timings": {"type": "boolean", "default": False, "description": "Tell the time of each stage."},
    }
    return described


OPENAPI = _described()
"""The fields' JSON schemas, for the description of the endpoints."""

BOX: dict[str, Any] = {
    "type": "string",
    "pattern": r"^(auto|[0-9.]+,[0-9.]+,[0-9.]+,[0-9.]+)$",
    "description": "The part of the photo that is searched for: x,y,w,h in fractions of the picture as it is seen, "
    "from its upper left corner; or `auto`, the dominant object.",
    "example": "0.25,0.1,0.5,0.8",
}
"""The JSON schema of `box`, which searches by photo take."""
