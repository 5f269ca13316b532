"""What the gallery looked like at export: what monitoring compares later embeddings and images with."""

from pathlib import Path

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.image_header import read_header
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels

__all__ = ["drift_reference", "read_drift_reference", "write_drift_reference"]

_IMAGES = 500
_VECTORS = 50_000
_COMPONENTS = 16
_QUANTILES = np.linspace(0, 1, 101)
_COSINE_EDGES = np.linspace(-1, 1, 101)
_LEVEL_EDGES = np.linspace(0, 255, 52)


def write_drift_reference(
    path: Path, catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec, vectors: np.ndarray
) -> None:
    """Write the reference of a gallery; the same gallery gives the same file.

    Args:
        path: file to write.
        catalogue: where the images are.
        rows: int64 array of shape (images,), the gallery.
        spec: how pixels are made.
        vectors: float32 of shape (images, dim), the gallery's embeddings, L2-normalised; of more than 50,000, as many
            evenly spaced ones count.
    """
    chosen = np.sort(np.random.default_rng(0).choice(rows, min(_IMAGES, len(rows)), replace=False))
    pixels = np.concatenate(list(iterate_pixels(catalogue, chosen, spec, batch=_IMAGES)))
    even = np.unique(np.linspace(0, len(vectors) - 1, min(_VECTORS, len(vectors))).astype(np.int64))
    files = [catalogue.image_bytes(int(row)) for row in chosen]
    headers = [read_header(data) for data in files]
    sizes = [(header.width, header.height) for header in headers]
    lengths = np.array([len(data) for data in files])
    np.savez(path, allow_pickle=False, **drift_reference(vectors[even], pixels, np.array(sizes), lengths))


def drift_reference(
    vectors: np.ndarray, pixels: np.ndarray, sizes: np.ndarray, lengths: np.ndarray
) -> dict[str, np.ndarray]:
    """Moments, quantiles and histograms.

    The encoder's graph ends in L2, so that norms are always 1; how far embeddings spread shows in `cosine_counts`.

    Args:
        vectors: float32 of shape (images, dim), L2-normalised.
        pixels: uint8 of shape (sample, size, size, 3).
        sizes: int of shape (sample, 2), width and height of the files' upright images, in pixels.
        lengths: int of shape (sample,), sizes of the files, in bytes.

    Returns:
        `vectors`: how many. `mean`: float32 (dim,). `spectrum`: float32 (dim,), eigenvalues of the covariance,
        descending. `components`: float32 (at most 16, dim), its first eigenvectors, each with its largest number
        positive. `quantiles`: float32 (101,), and `projections`: float32 (components, 101), the quantiles of the
        vectors, less the mean, along each component. `cosine_edges` (101,) and `cosine_counts` (100,): cosine to the
        mean's direction. `level_edges` (52,), `brightness_counts` and `contrast_counts` (51,): mean and standard
        deviation of an image's pixels, 0 to 255. `width`, `height`, `file_bytes`: float32 (101,), quantiles.
    """
    exact = vectors.astype(np.float64)
    mean = exact.mean(axis=0)
    centred = exact - mean
    values, axes = np.linalg.eigh(centred.T @ centred / len(exact))
    components = axes[:, ::-1].T[:_COMPONENTS]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    components = components * np.where(largest < 0, -1, 1)
    length = np.linalg.norm(mean)
    cosines = exact @ (mean / length if length > 0 else mean)
    levels = pixels.reshape(len(pixels), -1).astype(np.float32)

    def quantiles(numbers: np.ndarray) -> np.ndarray:
        return np.quantile(numbers, _QUANTILES, axis=0).T.astype(np.float32)

    return {
        "vectors": np.array(len(vectors)),
        "mean": mean.astype(np.float32),
        "spectrum": np.maximum(values[::-1], 0).astype(np.float32),
        "components": components.astype(np.float32),
        "quantiles": _QUANTILES.astype(np.float32),
        "projections": quantiles(centred @ components.T),
        "cosine_edges": _COSINE_EDGES.astype(np.float32),
        "cosine_counts": np.histogram(np.clip(cosines, -1, 1), _COSINE_EDGES)[0],
        "level_edges": _LEVEL_EDGES.astype(np.float32),
        "brightness_counts": np.histogram(levels.mean(axis=1), _LEVEL_EDGES)[0],
        "contrast_counts": np.histogram(levels.std(axis=1), _LEVEL_EDGES)[0],
        "width": quantiles(sizes[:, 0]),
        "height": quantiles(sizes[:, 1]),
        "file_bytes": quantiles(lengths),
    }


def read_drift_reference(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_drift_reference` wrote; nothing in the file is unpickled."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
