"""Taking a product's pictures: from its number to files."""

from pathlib import Path

import cv2
import numpy as np

from src.shop.listing import Shot, shots
from src.shop.photo import take_photo
from src.shop.products import Product
from src.shop.seeds import Stream, stream
from src.shop.sprites import Sprite, blueprint, sprite
from src.shop.views import catalogue_view

__all__ = ["shoot"]

_CATALOGUE_QUALITY = 92


def shoot(root: Path, product: Product, *, seed: int, image_size: int) -> None:
    """Write all images and masks of a product below `root`; the folders are there already."""
    drawn = blueprint(product, image_size)
    variant, item = -1, None
    for shot in shots(product, seed):
        if item is None or shot.variant != variant:
            variant, item = shot.variant, sprite(drawn, product, shot.variant)
        picture, mask, quality = _take(item, product, shot, seed)
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        png = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        (root / shot.image).write_bytes(jpeg.tobytes())
        (root / shot.mask).write_bytes(png.tobytes())


def _take(item: Sprite, product: Product, shot: Shot, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    kind = Stream.PHOTO if shot.domain == "user" else Stream.VIEW
    rng = stream(seed, kind, product.number, shot.variant, shot.number)
    if shot.domain == "user":
        return take_photo(item, rng, seed)
    return *catalogue_view(shot.view, item, product.brand.studio, rng), _CATALOGUE_QUALITY
