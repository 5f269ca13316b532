"""Decode and resize images of a catalogue in threads."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.errors import CatalogueError
from src.contracts.preprocessing import ImageError, PreprocessingSpec, resize

__all__ = ["iterate_pixels"]


def iterate_pixels(
    catalogue: Catalogue,
    rows: np.ndarray,
    spec: PreprocessingSpec,
    *,
    batch: int,
    edit: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> Iterator[np.ndarray]:
    """Yield the pixels of some rows in order, decoded by one thread a core, at most two batches ahead.

    Args:
        catalogue: where the images are.
        rows: int64 array of shape (images,).
        spec: the preprocessing.
        batch: images in a batch; the last one may be smaller.
        edit: changes a picture of a row, decoded at full scale, before it is resized. Called on several threads.

    Yields:
        uint8 arrays of shape (images, size, size, 3).

    Raises:
        CatalogueError: images cannot be read; it lists each with its row number, after all rows were tried.
    """

    def pixels_of(row: int) -> np.ndarray:
        return catalogue.pixels(row, spec) if edit is None else resize(edit(catalogue.picture(row), row), spec)

    problems: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending: deque[list[Future[np.ndarray]]] = deque()
        starts = iter(range(0, len(rows), batch))
        while True:
            while len(pending) < 2 and (start := next(starts, None)) is not None:
                wanted = rows[start : start + batch]
                pending.append([pool.submit(pixels_of, int(row)) for row in wanted])
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
