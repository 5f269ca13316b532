"""What a category of products is: the traits that it varies in, and how it is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from src.shop.drawing import Sketch

__all__ = ["CLOTH", "Category", "HARD", "LEATHERS"]

CLOTH = ("cotton", "cotton", "canvas", "satin", "corduroy")
LEATHERS = ("leather", "leather", "suede", "canvas", "quilted")
HARD = ("ceramic", "plastic", "metal")


@dataclass(frozen=True)
class Category:
    """A category.

    Attributes:
        draw: draws a product from the sketch's traits.
        shape: continuous trait -> its range.
        kinds: discrete trait -> what it can be.
        materials: what it is made of (repeated names are more frequent).
        printed: share of plain products with an emblem.
        plain: share of products without a pattern.
        price: median price.
        subtle: traits too small to tell twins apart.
        small: its surfaces are too small for a pattern to tell twins apart.
    """

    draw: Callable[[Sketch], None]
    shape: Mapping[str, tuple[float, float]]
    kinds: Mapping[str, tuple[str | int, ...]]
    materials: tuple[str, ...]
    price: float
    printed: float = 0.5
    plain: float = 0.35
    subtle: frozenset[str] = field(default_factory=frozenset)
    small: bool = False
