"""Generated pictures and their files."""

import io

import numpy as np
from PIL import Image

__all__ = ["encode", "smooth_picture"]


def smooth_picture(height: int, width: int, *, seed: int) -> np.ndarray:
    """Coloured blobs with a few edges and fine stripes: uint8 RGB of shape (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    picture = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    top, left = rng.integers(0, max(1, height // 2)), rng.integers(0, max(1, width // 2))
    picture[top : top + height // 3, left : left + width // 3] = rng.integers(0, 256, 3)
    stripes = (np.arange(width) // max(1, int(rng.integers(1, 4))) % 2 * 60).astype(np.int64)
    lower = picture[height // 2 :].astype(np.int64) + stripes[None, :, None] - 30
    picture[height // 2 :] = np.clip(lower, 0, 255)
    return picture


def encode(image: Image.Image | np.ndarray, form: str, **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(buffer, form, **options)
    return buffer.getvalue()
