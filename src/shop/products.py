"""The products of a shop as pure data: traits, brand, colourways, twins, split, price and listing date."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from src.shop.brands import BRANDS, Brand
from src.shop.categories import CATEGORIES, Category
from src.shop.palette import COLORS, Colourway, colourways
from src.shop.patterns import LATE_STYLES, PATTERNS, STYLE_OF
from src.shop.prints import EMBLEMS
from src.shop.seeds import Stream, stream
from src.shop.traits import Traits, Value
from src.shop.twins import twin_traits

__all__ = ["LATE_FROM", "Product", "plan_products", "sample_product"]

_START = datetime(2025, 1, 1, tzinfo=UTC)
_MINUTES = 365 * 24 * 60
LATE_FROM = datetime(2025, 11, 1, tzinfo=UTC)
"""From here on the shop also lists products of `LATE_STYLES`."""

_LATE_SHARE = 0.5
_TWIN_SHARE = 0.15
_SPLIT_SHARES = (("test", 0.2), ("val", 0.1))


@dataclass(frozen=True)
class Product:
    """A product.

    Attributes:
        number: its place in the shop; random streams are seeded with it.
        category: one of `CATEGORIES`.
        brand: who makes it.
        traits: what it looks like, colours aside.
        colourways: its colours; each is an item.
        price: in the shop's currency.
        listed_at: when it was listed, UTC.
        split: `train`, `val` or `test`.
        twin: number of the product that differs from it in one trait, or None.
    """

    number: int
    category: str
    brand: Brand
    traits: Traits
    colourways: tuple[Colourway, ...]
    price: float
    listed_at: datetime
    split: str = "train"
    twin: int | None = None

    @property
    def parent_id(self) -> str:
        """The id that its items share."""
        return f"P{self.number:05d}"

    @property
    def style(self) -> str:
        """The style of its pattern."""
        return STYLE_OF[self.traits.word("pattern")]

    def item_id(self, variant: int) -> str:
        """The id of one of its colourways."""
        return f"{self.parent_id}-{variant}"


def plan_products(parents: int, seed: int, numbers: Iterable[int] | None = None) -> tuple[Product, ...]:
    """The products of a shop.

    About 15 % have a twin: a product that equals it in all but one trait, in the same colourways and the same split.

    Args:
        parents: how many products the shop has.
        seed: the shop's.
        numbers: which of them to return; None for all.
    """
    rng = stream(seed, Stream.PLAN)
    deck = rng.permutation(len(CATEGORIES))
    names = list(CATEGORIES)
    pairs = max(round(_TWIN_SHARE * parents / 2), 1)
    order = [int(number) for number in rng.permutation(parents)]
    twin_of = {order[2 * k + 1]: order[2 * k] for k in range(pairs)}
    base_of = {base: twin for twin, base in twin_of.items()}
    splits = _splits(rng, order, twin_of)
    products = []
    for number in range(parents) if numbers is None else numbers:
        base = twin_of.get(number, number)
        product = sample_product(stream(seed, Stream.PRODUCT, base), base, names[deck[base % len(deck)]])
        if number in twin_of:
            product = _twin(stream(seed, Stream.TWIN, number), product, number)
        partner = twin_of.get(number, base_of.get(number))
        products.append(replace(product, split=splits[base], twin=partner))
    return tuple(products)


def sample_product(rng: np.random.Generator, number: int, category: str) -> Product:
    """Draw a product of that category."""
    spec = CATEGORIES[category]
    brand = BRANDS[int(rng.integers(len(BRANDS)))]
    listed_at = _START + timedelta(minutes=int(rng.integers(_MINUTES)))
    traits = _sample_traits(rng, spec, brand, late=listed_at >= LATE_FROM)
    liking = np.array([3.0 if name in brand.colors else 1.0 for name in COLORS])
    count = int(rng.choice([1, 2, 3, 4], p=[0.15, 0.35, 0.3, 0.2]))
    return Product(
        number=number,
        category=category,
        brand=brand,
        traits=traits,
        colourways=colourways(rng, count, liking / liking.sum()),
        price=float(np.floor(spec.price * brand.price * rng.lognormal(0.0, 0.3)) + 0.95),
        listed_at=listed_at,
    )


def _sample_traits(rng: np.random.Generator, spec: Category, brand: Brand, *, late: bool) -> Traits:
    values: dict[str, Value] = {name: float(rng.uniform(*bounds)) for name, bounds in spec.shape.items()}
    for name, kinds in spec.kinds.items():
        values[name] = kinds[int(rng.integers(len(kinds)))]
    pattern = _sample_pattern(rng, spec, brand, late=late)
    block = STYLE_OF[pattern] == "colour_block"
    printed = pattern == "plain" and rng.random() < spec.printed
    values |= {
        "material": spec.materials[int(rng.integers(len(spec.materials)))],
        "texture_seed": int(rng.integers(2**31)),
        "pattern": pattern,
        "pattern_scale": float(rng.uniform(0.5, 0.9) if block else rng.uniform(0.2, 0.44)),
        "pattern_angle": float(rng.choice([0.0, 0.0, 90.0, 45.0, -45.0])),
        "pattern_seed": int(rng.integers(2**31)),
        "print": int(rng.integers(EMBLEMS)) if printed else -1,
        "trim": brand.trims[int(rng.integers(len(brand.trims)))],
    }
    return Traits(values)


def _sample_pattern(rng: np.random.Generator, spec: Category, brand: Brand, *, late: bool) -> str:
    names = [name for name in PATTERNS if name != "plain"]
    is_late = np.array([STYLE_OF[name] in LATE_STYLES for name in names])
    novel = late and rng.random() < _LATE_SHARE
    liking = np.array([3.0 if STYLE_OF[name] in brand.styles else 1.0 for name in names])
    weight = liking * (is_late if novel else ~is_late)
    drawn = names[int(rng.choice(len(names), p=weight / weight.sum()))]
    plain = rng.random() < spec.plain * (1.3 if "plain" in brand.styles else 1.0)
    return "plain" if plain and not novel else drawn


def _twin(rng: np.random.Generator, base: Product, number: int) -> Product:
    listed_at = base.listed_at + timedelta(minutes=int(rng.integers(1, 14 * 24 * 60)))
    # Neither the year's end nor the first day of the late styles may come between the two.
    if listed_at.year != base.listed_at.year or (listed_at >= LATE_FROM) != (base.listed_at >= LATE_FROM):
        listed_at = base.listed_at
    traits = twin_traits(rng, CATEGORIES[base.category], base.traits, base.colourways)
    return replace(base, number=number, traits=traits, listed_at=listed_at)


def _splits(rng: np.random.Generator, order: list[int], twin_of: dict[int, int]) -> dict[int, str]:
    """Split of each product that is no twin of another; a pair counts as two."""
    sizes = {number: 1 for number in order if number not in twin_of}
    for base in twin_of.values():
        sizes[base] += 1
    splits = dict.fromkeys(sizes, "train")
    waiting = [int(number) for number in rng.permutation(list(sizes))]
    for split, share in _SPLIT_SHARES:
        missing = max(round(share * len(order)), 1)
        for number in list(waiting):
            if sizes[number] <= missing:
                splits[number] = split
                missing -= sizes[number]
                waiting.remove(number)
    return splits
