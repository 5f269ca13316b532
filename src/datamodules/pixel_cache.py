"""A cache of decoded and resized pixels on disk, so that training does not decode files in each epoch."""

import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from src.catalog.catalogue import Catalogue
from src.catalog.image_source import local_file
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels

__all__ = ["open_pixel_cache"]

log = logging.getLogger(__name__)

_BATCH = 64
_SAVED_EVERY = 32
"""Batches after which decoded pixels are synced to disk."""

_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[rate]}"),
    TimeRemainingColumn(),
)


def open_pixel_cache(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec, folder: Path) -> np.ndarray:
    """Open the pixels of some rows as a memory map; they are decoded on the first call.

    The file is named by the preprocessing hash and by each image's name, box, size and time of change; it takes
    3 x size x size bytes an image. A killed decoding continues after the last 2,048 images that were synced; where
    another process is decoding the same images, this one waits. Files of other settings stay until the folder is
    deleted.

    Args:
        catalogue: where the images are.
        rows: int64 array of shape (images,).
        spec: the preprocessing.
        folder: the folder of the caches.

    Returns:
        Read-only uint8 array of shape (images, size, size, 3).

    Raises:
        LookalikeError: the disk has no room for the file.
        CatalogueError: images that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_key(catalogue, rows, spec)}.npy"
    if not path.exists():
        part = path.with_suffix(".part")
        with _locked(part):
            if path.exists():
                part.unlink()
            else:
                _fill(part, path.with_suffix(".done"), catalogue, rows, spec)
                # Not `atomic_file`: a killed decoding is continued in the same file, so its name is fixed and locked.
                # `_fill` has synced the pixels as it went. The folder is not synced: if a power cut loses the new
                # name, the images are decoded again.
                os.replace(part, path)
    pixels: np.ndarray = np.load(path, mmap_mode="r")
    return pixels


def _fill(part: Path, done_file: Path, catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec) -> None:
    """Decode the remaining images; if some cannot be read, the part file is removed."""
    shape = (len(rows), spec.size, spec.size, 3)
    done = _done(part, done_file, shape)
    try:
        _check_room(part, int(np.prod(shape)), spec.size)
        pixels = np.lib.format.open_memmap(part, mode="r+" if done else "w+", dtype=np.uint8, shape=shape)
        if not done:
            done_file.unlink(missing_ok=True)
        with Progress(*_COLUMNS, transient=True) as bar:
            task = bar.add_task("decoding images", total=len(rows), completed=done, rate="")
            for number, batch in enumerate(iterate_pixels(catalogue, rows[done:], spec, batch=_BATCH), start=1):
                pixels[done : done + len(batch)] = batch
                done += len(batch)
                speed = bar.tasks[task].speed
                bar.update(task, completed=done, rate=f"{speed:.0f} images/s" if speed else "")
                if number % _SAVED_EVERY == 0:
                    pixels.flush()
                    done_file.write_text(str(done))
        pixels.flush()
    except LookalikeError:
        part.unlink()
        done_file.unlink(missing_ok=True)
        raise
    done_file.unlink(missing_ok=True)


def _done(part: Path, done_file: Path, shape: tuple[int, ...]) -> int:
    """The number of images that an earlier, killed call decoded into the part file."""
    try:
        if np.load(part, mmap_mode="r").shape != shape:
            return 0
        return min(int(done_file.read_text()), shape[0])
    except (OSError, ValueError, EOFError):
        return 0


def _check_room(part: Path, size: int, side: int) -> None:
    # The blocks that a killed call wrote are allocated already.
    wanted = size - part.stat().st_blocks * 512
    free = shutil.disk_usage(part.parent).free
    if wanted > free:
        raise LookalikeError(
            f"`data.cache={part.parent}`: pixels at {side} x {side} take {wanted / 2**30:.1f} GiB of disk, and "
            f"{free / 2**30:.1f} GiB are free; delete old caches there, name a folder on another disk, or lower "
            "`preprocessing.size`"
        )


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    """Lock the part file, so that of several processes one decodes and the others wait."""
    while True:
        with part.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another process decodes these images; waiting for it (%s)", part)
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                ours = os.path.samestat(os.fstat(file.fileno()), part.stat())
            except FileNotFoundError:
                ours = False
            if not ours:
                # The other process has renamed or removed the file while this one waited.
                continue
            yield
            return


def _key(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec) -> str:
    digest = hashlib.sha256(spec.hash.encode())
    for row, image in zip(rows, catalogue.column("image", rows), strict=True):
        box = catalogue.box(row)
        digest.update(f"\0{image}".encode() if box is None else f"\0{image}\0{box}".encode())
        file = local_file(catalogue.root, image)
        if file is not None:
            try:
                status = file.stat()
            except (OSError, ValueError):  # no such file: reading it says so, with its row
                continue
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]
