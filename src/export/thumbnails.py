"""The pictures that a bundle shows: small JPEGs of the gallery in one memory-mapped file."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.search.pictures import thumbnail

__all__ = ["write_thumbnails"]

_BATCH = 4096
_SCHEMA = pa.schema(
    [pa.field("image_id", pa.large_string(), nullable=False), pa.field("jpeg", pa.binary(), nullable=False)]
)


def write_thumbnails(catalogue: Catalogue, rows: np.ndarray, path: Path, *, side: int) -> None:
    """Write an uncompressed Arrow file, so that a service maps it and reads a picture without loading the rest.

    Args:
        catalogue: where the images are.
        rows: int64 array of shape (images,); row i of the file is the image of `rows[i]`.
        path: file to write.
        side: longer side of a picture, in pixels; smaller images keep their size.
    """
    shown = PreprocessingSpec(size=side, resize="pad") if side <= 2048 else None

    def made(row: int) -> bytes:
        return thumbnail(catalogue.picture(row, spec=shown), side)

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, _SCHEMA) as writer,
    ):
        for start in range(0, len(rows), _BATCH):
            wanted = rows[start : start + _BATCH]
            ids = pa.array(catalogue.column("image_id", wanted), pa.large_string())
            writer.write(pa.record_batch([ids, pa.array(pool.map(made, wanted), pa.binary())], schema=_SCHEMA))
