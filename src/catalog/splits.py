"""Which rows are for training, validation and test."""

import hashlib
from collections.abc import Sequence

__all__ = ["split_by_product"]


def split_by_product(products: Sequence[str], *, val_fraction: float, test_fraction: float, seed: int) -> list[str]:
    """Put whole products into `train`, `val` or `test`.

    A product's place is a hash of its id and the seed, so it stays there when the catalogue grows.

    Args:
        products: the product of each row (its parent where it has one, else its item).
        val_fraction: expected share of the products in `val`.
        test_fraction: expected share of the products in `test`.
        seed: another seed is another split.

    Returns:
        The split of each row.
    """
    places = {product: _place(f"{seed}:{product}") for product in set(products)}

    def split(product: str) -> str:
        if places[product] < test_fraction:
            return "test"
        return "val" if places[product] < test_fraction + val_fraction else "train"

    return [split(product) for product in products]


def _place(text: str) -> float:
    """A uniform number in [0, 1) that depends on nothing but the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
