"""The small pictures of a bundle, mapped: one costs a page fault or two."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import simplejpeg
from PIL import Image

from src.contracts.errors import BundleError

__all__ = ["Pictures", "thumbnail"]


def thumbnail(pixels: np.ndarray, side: int) -> bytes:
    """A small JPEG of decoded pixels.

    Args:
        pixels: uint8 of shape (height, width, 3).
        side: longest side, in pixels; a smaller picture keeps its size.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    jpeg: bytes = simplejpeg.encode_jpeg(np.asarray(image), quality=85)
    return jpeg


class Pictures:
    """`thumbnails.arrow`: row i is the picture of item row i.

    Attributes:
        image_ids: whose they are.
    """

    def __init__(self, path: Path) -> None:
        """Map the file; raises `BundleError` where it is none of these."""
        try:
            table = ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowException) as error:
            raise BundleError(f"{path}: not a readable table ({error}); export the bundle again") from None
        missing = sorted({"image_id", "jpeg"} - {*table.column_names})
        if missing:
            raise BundleError(f"{path}: it has no column {', '.join(missing)}; export the bundle again")
        self.image_ids: pa.ChunkedArray = table["image_id"]
        self._jpeg = table["jpeg"]

    def __len__(self) -> int:
        return len(self._jpeg)

    def jpeg(self, row: int) -> bytes:
        """A row's JPEG."""
        data: bytes = self._jpeg[row].as_py()
        return data
