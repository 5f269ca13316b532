"""Which parts of an image make it like another: cover each, and see what the similarity loses.

Occlusion sensitivity (Zeiler & Fergus, 2014, section 4.2) of a cosine in place of a class score. It asks the encoder
alone, and so works for every bundle; it costs one embedding a cell.
"""

import numpy as np

__all__ = ["CELLS", "covered", "losses"]

CELLS = 7
"""Cells a side: 49 embeddings an image."""


def covered(pixels: np.ndarray, cells: int = CELLS) -> np.ndarray:
    """Copies of an image, each with another cell covered by the image's mean colour; the first one as it is.

    Args:
        pixels: uint8 array of shape (size, size, 3).
        cells: a side.

    Returns:
        uint8 array of shape (1 + cells * cells, size, size, 3), cells row by row.
    """
    edges = np.linspace(0, len(pixels), cells + 1).round().astype(int)
    mean = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    copies = np.repeat(pixels[None], 1 + cells * cells, axis=0)
    for cell in range(cells * cells):
        row, column = divmod(cell, cells)
        copies[1 + cell, edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = mean
    return copies


def losses(vectors: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """What the similarity to a target loses with each cell.

    Args:
        vectors: normalised float32 array of shape (1 + cells * cells, dim), of what `covered` gives.
        target: normalised float32 vector of shape (dim,).

    Returns:
        The cosine of the whole image to the target, and a float32 array of shape (cells, cells): the cosine less that
        without the cell. Positive where the cell makes the two alike, negative where it makes them differ.
    """
    cosines = vectors @ target
    cells = round((len(vectors) - 1) ** 0.5)
    return float(cosines[0]), (cosines[0] - cosines[1:]).reshape(cells, cells)
