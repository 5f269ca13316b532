"""Decode and resize images of a catalogue in threads."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.errors import CatalogueError
from src.contracts.preprocessing import ImageError, PreprocessingSpec

__all__ = ["iterate_pixels"]


def iterate_pixels(
    catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec, *, batch: int
) -> Iterator[np.ndarray]:
    """Yield the pixels of some rows in order, decoded by one thread a core, at most two batches ahead.

    Args:
        catalogue: where the images are.
        rows: int64 array of shape (images,).
        spec: the preprocessing.
        batch: images in a batch; the last one may be smaller.

    Yields:
        uint8 arrays of shape (images, size, size, 3).

    Raises:
        CatalogueError: images cannot be read; it lists each with its row number, after all rows were tried.
    """
    problems: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending: deque[list[Future[np.ndarray]]] = deque()
        starts = iter(range(0, len(rows), batch))
        while True:
            while len(pending) < 2 and (start := next(starts, None)) is not None:
                wanted = rows[start : start + batch]
                pending.append([pool.submit(_read, catalogue, int(row), spec) for row in wanted])
            if not pending:
                break
            pixels = []
            for future in pending.popleft():
                try:
                    pixels.append(future.result())
                except ImageError as error:
                    problems.append(str(error))
            if not problems:
                yield np.stack(pixels)
    if problems:
        raise CatalogueError(str(catalogue.root), problems)


def _read(catalogue: Catalogue, row: int, spec: PreprocessingSpec) -> np.ndarray:
    try:
        return catalogue.pixels(row, spec)
    except ImageError as error:
        raise type(error)(f"row {row + 1}: {catalogue.items['image'][row].as_py()}: {error}") from error
