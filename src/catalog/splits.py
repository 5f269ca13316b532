"""Divide rows into training, validation and test: by product, by count, by time."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

__all__ = ["split_by_count", "split_by_product", "split_by_time"]


def split_by_product(products: Sequence[str], *, val_fraction: float, test_fraction: float, seed: int) -> list[str]:
    """Put whole products into `train`, `val` or `test`.

    A product's split follows from a hash of its id and the seed, so it does not change when the catalogue grows.

    Args:
        products: the product of each row (its parent where it has one, else its item).
        val_fraction: expected share of the products in `val`.
        test_fraction: expected share of the products in `test`.
        seed: of the split.

    Returns:
        The split of each row.
    """
    places = {product: _place(f"{seed}:{product}") for product in set(products)}

    def split(product: str) -> str:
        if places[product] < test_fraction:
            return "test"
        return "val" if places[product] < test_fraction + val_fraction else "train"

    return [split(product) for product in products]


def split_by_count(products: Sequence[str], *, train: int, val: int, order: str, seed: int) -> list[str]:
    """Put the first products of an order into `train`, the next into `val`, all others into `test`.

    Args:
        products: the product of each row.
        train: products in `train`.
        val: products in `val`.
        order: `name` (digits inside names compare as numbers: class 9 comes before class 10), `listed` (by first row)
            or `random`.
        seed: of the order, with `random`.

    Returns:
        The split of each row.

    Raises:
        ValueError: fewer products than `train` and `val` ask for.
    """
    distinct = list(dict.fromkeys(products))
    if train + val > len(distinct):
        raise ValueError(f"the catalogue has {len(distinct)} products")
    if order == "name":
        distinct.sort(key=lambda product: (_natural(product), product))
    elif order == "random":
        distinct.sort(key=lambda product: (_place(f"{seed}:{product}"), product))
    splits = {
        product: "train" if number < train else "val" if number < train + val else "test"
        for number, product in enumerate(distinct)
    }
    return [splits[product] for product in products]


def split_by_time(
    items: Sequence[str], listed_at: Sequence[datetime | None], *, val_from: datetime, test_from: datetime | None
) -> list[str | None]:
    """Put items that were listed before `val_from` into `train`, before `test_from` into `val`, later into `test`.

    The earliest listing of an item decides the split of all its images. Variants of one product are separate items: a
    colour that is added in November is new in November, as it is in a real shop.

    Args:
        items: the item of each row.
        listed_at: time of listing of each row, None where it is unknown; all with a time zone.
        val_from: start of validation.
        test_from: start of the test; None for no test.

    Returns:
        The split of each row, None where no row of its item has a date.
    """
    earliest: dict[str, datetime] = {}
    for item, moment in zip(items, listed_at, strict=True):
        if moment is not None:
            earliest[item] = min(moment, earliest.get(item, moment))

    def split(item: str) -> str | None:
        if item not in earliest:
            return None
        if earliest[item] < val_from:
            return "train"
        return "val" if test_from is None or earliest[item] < test_from else "test"

    return [split(item) for item in items]


def _place(text: str) -> float:
    """A uniform number in [0, 1) from a hash of the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _natural(text: str) -> list[tuple[int, str]]:
    """A key by which runs of digits compare as numbers, and come before letters."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return [(int(part), "") if "0" <= part[0] <= "9" else (2**63, part) for part in parts]
