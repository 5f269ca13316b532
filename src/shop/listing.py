"""The shop's items table: one row for each image, known before any image is drawn."""

from dataclasses import dataclass

import pyarrow as pa

from src.contracts.tables import validate_items
from src.shop.products import Product
from src.shop.seeds import Stream, stream
from src.shop.views import OTHER_VIEWS

__all__ = ["Shot", "items_table", "shots"]

_IN_STOCK = 0.88


@dataclass(frozen=True)
class Shot:
    """An image to be taken.

    Attributes:
        image_id: its name.
        domain: `catalogue` or `user`.
        view: `front`, `angle`, `mirror` or `detail` in the catalogue, else `photo`.
        variant: which colourway.
        number: its place among the item's images; its random stream is seeded with it.
    """

    image_id: str
    domain: str
    view: str
    variant: int
    number: int

    @property
    def image(self) -> str:
        """Path relative to the shop's folder; a hundred subfolders keep each of them small."""
        return f"images/{self.image_id[4:6]}/{self.image_id}.jpg"

    @property
    def mask(self) -> str:
        """Path of the item's mask, relative to the shop's folder."""
        return f"masks/{self.image_id[4:6]}/{self.image_id}.png"


def shots(product: Product, seed: int) -> list[Shot]:
    """All images of a product: for each item two to four in the catalogue and two to four by customers."""
    found = []
    for variant in range(len(product.colourways)):
        rng = stream(seed, Stream.ITEM, product.number, variant)
        others = [OTHER_VIEWS[int(k)] for k in rng.permutation(len(OTHER_VIEWS))[: int(rng.integers(1, 4))]]
        photos = int(rng.integers(2, 5))
        item = product.item_id(variant)
        for k, view in enumerate(["front", *others]):
            found.append(Shot(f"{item}-c{k}", "catalogue", view, variant, k))
        for k in range(photos):
            found.append(Shot(f"{item}-u{k}", "user", "photo", variant, 100 + k))
    return found


def items_table(products: tuple[Product, ...], seed: int) -> pa.Table:
    """The items table with the shop's further columns: split, is_query, is_gallery, mask, style, twin_id and view."""
    rows = []
    for product in products:
        in_stock = [
            bool(stream(seed, Stream.ITEM, product.number, variant, 1).random() < _IN_STOCK)
            for variant in range(len(product.colourways))
        ]
        for shot in shots(product, seed):
            rows.append(_row(products, product, shot, in_stock=in_stock[shot.variant]))
    return validate_items(pa.Table.from_pylist(rows, schema=_SCHEMA))


def _row(products: tuple[Product, ...], product: Product, shot: Shot, *, in_stock: bool) -> dict[str, object]:
    twin = None if product.twin is None else products[product.twin].item_id(shot.variant)
    return {
        "image_id": shot.image_id,
        "item_id": product.item_id(shot.variant),
        "parent_id": product.parent_id,
        "image": shot.image,
        "domain": shot.domain,
        "category": product.category,
        "brand": product.brand.name,
        "color": product.colourways[shot.variant].name,
        "price": product.price,
        "in_stock": in_stock,
        "listed_at": product.listed_at,
        "split": product.split,
        "is_query": shot.domain == "user",
        "is_gallery": shot.domain == "catalogue",
        "mask": shot.mask,
        "style": product.style,
        "twin_id": twin,
        "view": shot.view,
    }


_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("image_id", "item_id", "parent_id", "image", "domain")),
        *((name, pa.string()) for name in ("category", "brand", "color")),
        ("price", pa.float64()),
        ("in_stock", pa.bool_()),
        ("listed_at", pa.timestamp("us", tz="UTC")),
        ("split", pa.string()),
        ("is_query", pa.bool_()),
        ("is_gallery", pa.bool_()),
        *((name, pa.string()) for name in ("mask", "style", "twin_id", "view")),
    ]
)
