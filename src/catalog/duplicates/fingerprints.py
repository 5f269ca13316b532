"""The fingerprints of a catalogue's images, with a cache."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress

from src.catalog.catalogue import Catalogue
from src.catalog.duplicates.fingerprint import FINGERPRINT, fingerprint
from src.catalog.image_source import local_file
from src.contracts.atomic_file import atomic_file
from src.contracts.errors import CatalogueError
from src.contracts.image_errors import ImageError
from src.contracts.pixel_box import PixelBox

__all__ = ["fingerprints"]

_KEPT_EVERY = 50_000


def fingerprints(catalogue: Catalogue, rows: np.ndarray, folder: Path) -> np.ndarray:
    """The fingerprints of some rows; those of unchanged files are read from a cache.

    A file in `folder` holds them by each image's name, box, size and time of change. It is written again every 50,000
    new fingerprints and at the end, so that a killed run can be continued.

    Args:
        catalogue: where the images are.
        rows: int64 of shape (images,).
        folder: the folder of the cache.

    Returns:
        `FINGERPRINT` array of shape (images,).

    Raises:
        CatalogueError: images cannot be read; it lists each with its row number.
    """
    path = folder / "fingerprints256.parquet"
    keys = [
        _key(catalogue.root, image, catalogue.box(row))
        for row, image in zip(rows, catalogue.column("image", rows), strict=True)
    ]
    known = _read(path)
    missing = [(key, int(row)) for key, row in zip(keys, rows, strict=True) if key not in known]
    problems = []
    with Progress(transient=True, disable=not missing) as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        task = bar.add_task("fingerprints of images", total=len(missing))
        wanted = iter(missing)
        while part := list(islice(wanted, _KEPT_EVERY)):
            for (key, row), made in zip(part, _made(catalogue, [row for _, row in part], pool), strict=True):
                bar.advance(task)
                if isinstance(made, str):
                    problems.append(f"row {row + 1}: {catalogue.items['image'][row].as_py()}: {made}")
                else:
                    known[key] = made
            _write(path, known)
    if problems:
        raise CatalogueError(str(catalogue.root), problems)
    return np.frombuffer(b"".join(known[key] for key in keys), FINGERPRINT)


def _made(catalogue: Catalogue, rows: list[int], pool: ThreadPoolExecutor) -> Iterator[bytes | str]:
    """Each row's fingerprint, or the error message of its image."""

    def make(row: int) -> bytes | str:
        try:
            return fingerprint(catalogue.image_bytes(row), catalogue.box(row)).tobytes()
        except ImageError as error:
            return str(error)

    return pool.map(make, rows)


def _key(root: Path, image: str, box: PixelBox | None) -> str:
    part = "" if box is None else f"\0{box}"
    file = local_file(root, image)
    if file is None:
        return f"{image}{part}"
    try:
        status = file.stat()
    except (OSError, ValueError):  # no such file: reading it says so, with its row
        return f"{image}{part}"
    within = "" if file == root / image else f"\0{image}"
    return f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}{within}{part}"


def _read(path: Path) -> dict[str, bytes]:
    if not path.is_file():
        return {}
    table = pq.read_table(path)
    return dict(zip(table["key"].to_pylist(), table["fingerprint"].to_pylist(), strict=True))


def _write(path: Path, known: dict[str, bytes]) -> None:
    values = pa.array(list(known.values()), pa.binary(FINGERPRINT.itemsize))
    with atomic_file(path) as temporary:
        pq.write_table(pa.table({"key": list(known), "fingerprint": values}), temporary)
