"""Pixels made once and kept on disk, so that training reads memory instead of decoding files each epoch."""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
from rich.progress import track

from src.catalog.audit import is_remote
from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels

__all__ = ["open_pixel_cache"]

_BATCH = 64


def open_pixel_cache(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec, folder: Path) -> np.ndarray:
    """Pixels of some rows as a memory map, decoded on the first call.

    The file is named by the preprocessing hash and by each image's name, size and time of change; it takes
    3 x size x size bytes an image. Files of other settings stay until somebody deletes the folder.

    Args:
        catalogue: where the images are.
        rows: int64 array of shape (images,).
        spec: how pixels are made.
        folder: where caches are kept.

    Returns:
        Read-only uint8 array of shape (images, size, size, 3).
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_key(catalogue, rows, spec)}.npy"
    if not path.exists():
        _write(path, catalogue, rows, spec)
    pixels: np.ndarray = np.load(path, mmap_mode="r")
    return pixels


def _write(path: Path, catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec) -> None:
    # A name of its own, then a rename: neither a killed process nor a second one leaves half a file.
    descriptor, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
    os.close(descriptor)
    try:
        shape = (len(rows), spec.size, spec.size, 3)
        pixels = np.lib.format.open_memmap(name, mode="w+", dtype=np.uint8, shape=shape)
        batches = iterate_pixels(catalogue, rows, spec, batch=_BATCH)
        done = 0
        for batch in track(batches, "decoding images", total=-(-len(rows) // _BATCH), transient=True):
            pixels[done : done + len(batch)] = batch
            done += len(batch)
        pixels.flush()
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _key(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec) -> str:
    digest = hashlib.sha256(spec.hash.encode())
    for image in catalogue.column("image", rows):
        digest.update(f"\0{image}".encode())
        if not is_remote(image):
            status = (catalogue.root / image).stat()
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]
