"""The built-in shop's masks, resized like the encoder's input."""

import io

import numpy as np
from PIL import Image

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.contracts.preprocessing import PreprocessingSpec, resize

__all__ = ["read_masks"]

_HALF = 128


def read_masks(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec) -> np.ndarray:
    """Masks of the item in some rows' pixels.

    Args:
        catalogue: with a column `mask`: files relative to its root, white on the item and black elsewhere.
        rows: int64 array of shape (images,).
        spec: the preprocessing.

    Returns:
        bool of shape (images, size, size), True on the item; padding is not the item.

    Raises:
        TableError: the catalogue has no masks.
    """
    if "mask" not in catalogue.items.column_names:
        raise TableError("the items table has no column `mask`; only the built-in shop (data=shop) has it")
    masks = np.zeros((len(rows), spec.size, spec.size), dtype=bool)
    for at, name in enumerate(catalogue.column("mask", rows)):
        with Image.open(io.BytesIO((catalogue.root / name).read_bytes()), formats=("PNG",)) as image:
            # Inverted, since `resize` pads with white.
            outside = 255 - np.asarray(image.convert("RGB"))
        masks[at] = resize(outside, spec)[..., 0] < _HALF
    return masks
