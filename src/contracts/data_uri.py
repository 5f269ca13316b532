"""Pictures as data URIs, which make a page self-contained."""

import base64

import numpy as np
import simplejpeg
from PIL import Image

__all__ = ["data_uri"]


def data_uri(picture: Image.Image | np.ndarray, *, quality: int = 82) -> str:
    """A picture as a JPEG in a `data:` URI.

    Args:
        picture: RGB, or uint8 of shape (height, width, 3).
        quality: of the JPEG, 1 to 100.
    """
    pixels = np.ascontiguousarray(np.asarray(picture, dtype=np.uint8))
    return "data:image/jpeg;base64," + base64.b64encode(simplejpeg.encode_jpeg(pixels, quality=quality)).decode()
