"""Pictures as data URIs, which make a page self-contained."""

import base64

import numpy as np
import simplejpeg
from PIL import Image

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec

__all__ = ["Thumbnails", "data_uri"]


def data_uri(picture: Image.Image | np.ndarray, *, quality: int = 82) -> str:
    """A picture as a JPEG in a `data:` URI.

    Args:
        picture: RGB, or uint8 of shape (height, width, 3).
        quality: of the JPEG, 1 to 100.
    """
    pixels = np.ascontiguousarray(np.asarray(picture, dtype=np.uint8))
    return "data:image/jpeg;base64," + base64.b64encode(simplejpeg.encode_jpeg(pixels, quality=quality)).decode()


class Thumbnails:
    """Square pictures of a catalogue's images, by image id; each is read once."""

    def __init__(self, catalogue: Catalogue, *, side: int) -> None:
        """Prepare.

        Args:
            catalogue: where the images are.
            side: of the square, in pixels; images are padded to it.
        """
        self._catalogue = catalogue
        self._spec = PreprocessingSpec(size=side, resize="pad")
        self._made: dict[str, str] = {}

    def __getitem__(self, image_id: str) -> str:
        if image_id not in self._made:
            pixels = self._catalogue.pixels(self._catalogue.row_of[image_id], self._spec)
            self._made[image_id] = data_uri(pixels)
        return self._made[image_id]
