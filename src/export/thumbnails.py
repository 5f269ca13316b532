"""The pictures that a bundle shows: small JPEGs of the gallery in one memory-mapped file."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec, decode

__all__ = ["write_thumbnails"]

_BATCH = 256
_SCHEMA = pa.schema([pa.field("image_id", pa.string(), nullable=False), pa.field("jpeg", pa.binary(), nullable=False)])


def write_thumbnails(catalogue: Catalogue, rows: np.ndarray, path: Path, *, side: int) -> None:
    """Write an uncompressed Arrow file, so that a service maps it and reads a picture without loading the rest.

    Args:
        catalogue: where the images are.
        rows: int64 array of shape (images,); row i of the file is the image of `rows[i]`.
        path: file to write.
        side: longer side of a picture, in pixels; smaller images keep their size.
    """
    shown = PreprocessingSpec(size=side, resize="pad") if side <= 2048 else None

    def thumbnail(row: int) -> bytes:
        image = Image.fromarray(decode(catalogue.image_bytes(row), spec=shown))
        image.thumbnail((side, side), Image.Resampling.BICUBIC)
        return simplejpeg.encode_jpeg(np.asarray(image), quality=85)

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, _SCHEMA) as writer,
    ):
        for start in range(0, len(rows), _BATCH):
            wanted = rows[start : start + _BATCH]
            ids = pa.array(catalogue.column("image_id", wanted), pa.string())
            writer.write(pa.record_batch([ids, pa.array(pool.map(thumbnail, wanted), pa.binary())], schema=_SCHEMA))
