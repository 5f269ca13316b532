"""The small JPEG that a page shows of a picture that came through the API."""

import numpy as np
import simplejpeg
from PIL import Image

__all__ = ["thumbnail"]

_SIDE = 160


def thumbnail(pixels: np.ndarray) -> bytes:
    """A JPEG of decoded pixels, uint8 of shape (height, width, 3), 160 pixels at most, as an export's are."""
    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    jpeg: bytes = simplejpeg.encode_jpeg(np.asarray(image), quality=85)
    return jpeg
