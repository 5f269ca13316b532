"""The shop's brands and their tastes."""

from dataclasses import dataclass

__all__ = ["BRANDS", "Brand"]


@dataclass(frozen=True)
class Brand:
    """A brand.

    Attributes:
        name: as customers read it.
        styles: pattern styles that it prefers.
        colors: primary colours that it prefers.
        trims: what its buttons, buckles and legs are made of.
        price: factor on the category's price.
        studio: background of its catalogue pictures, sRGB.
    """

    name: str
    styles: tuple[str, ...]
    colors: tuple[str, ...]
    trims: tuple[str, ...]
    price: float
    studio: tuple[int, int, int]


BRANDS = (
    Brand("Aldermoor", ("checked", "plain"), ("green", "brown", "navy"), ("gold", "tan"), 1.3, (255, 255, 255)),
    Brand("Bruno & Vale", ("striped", "plain"), ("black", "grey", "white"), ("silver", "ink"), 1.7, (246, 246, 247)),
    Brand("Cassia", ("botanical", "dotted"), ("pink", "sky", "beige"), ("gold", "ivory"), 0.9, (255, 255, 255)),
    Brand("Dunlin", ("striped", "geometric"), ("navy", "white", "red"), ("silver", "ivory"), 1.0, (250, 250, 250)),
    Brand("Eskil", ("plain", "colour_block"), ("grey", "olive", "teal"), ("tan", "ink"), 1.4, (240, 241, 242)),
    Brand("Fonteyn", ("dotted", "botanical"), ("burgundy", "purple", "pink"), ("gold",), 1.2, (253, 251, 248)),
    Brand(
        "Grit Supply",
        ("camouflage", "colour_block"),
        ("olive", "orange", "black"),
        ("ink", "silver"),
        0.8,
        (255, 255, 255),
    ),
    Brand("Hollis", ("checked", "striped"), ("sky", "yellow", "green"), ("ivory", "silver"), 0.6, (255, 255, 255)),
    Brand("Iona Bay", ("geometric", "dotted"), ("teal", "orange", "yellow"), ("tan", "ivory"), 0.75, (252, 252, 250)),
    Brand(
        "Juniper Lane",
        ("botanical", "geometric"),
        ("green", "burgundy", "beige"),
        ("tan", "gold"),
        1.1,
        (248, 246, 242),
    ),
)
