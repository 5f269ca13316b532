"""What queries looked like at export, as counts: what export writes and monitoring compares with.

A *feature* is one number of a query: a dimension of its embedding, its place along a principal component, or one of
`SCALARS`. Each has fixed bins, whose edges come from the reference, so that counts of any two samples can be added and
compared exactly; a sketch's quantiles would be off by more than the differences that are looked for.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from src.contracts.errors import BundleError

__all__ = [
    "BINS",
    "COMPONENTS",
    "INPUTS",
    "SCALARS",
    "DriftReference",
    "count_bins",
    "count_categories",
    "count_slices",
    "find_bins",
    "input_statistics",
    "number_categories",
    "read_drift_reference",
    "thinned",
]

INPUTS = ("brightness", "width", "height", "aspect", "grey")
"""Of a photo: mean luma (Rec. 601) from 0 to 255; width and height of the upright file in pixels, and the former over
the latter; the share of pixels without colour, 0 to 1."""
SCALARS = ("norm", "top_score", *INPUTS)
"""Norm before L2, cosine of the best result, and the photo's."""
BINS = 10
COMPONENTS = 16
"""Principal components that have bins; the covariance is kept along up to 64."""

_FORMAT = 2
_ROWS = 256
_REC_601 = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_GREY = 8
_STEP = 4
"""Every fourth pixel of every fourth row is measured: a sixteenth of the work."""


@dataclass(frozen=True, eq=False)
class DriftReference:
    """What `drift_reference.npz` holds. Arrays are not to be changed.

    Attributes:
        format: of the file.
        encoder_id: whose embeddings were counted.
        source: `queries`, those of validation and test, or `gallery`, where the catalogue has too few.
        mean: float32 (dim,), of the embeddings.
        axes: float32 (at most 64, dim), principal components, the first one first.
        edges: float32 (features, BINS - 1), ascending, padded with infinity; a value in bin i reaches i edges.
            Features are the dimensions, then the first `COMPONENTS` components, then `SCALARS`.
        categories: str (at most 16,), the most frequent categories of best results; others are counted as one more.
        counts: int64 (features, BINS).
        category_counts: int64 (categories + 1,).
        slice_counts: int64 (categories, components + scalars, BINS), of the queries of one category.
        images: int64 (), queries that were counted.
        spread_images: int64 (), queries whose places along the axes were counted: those that the axes were not made of.
        along: float64 (axes,), sum of the embeddings' places along the axes.
        products: float64 (axes, axes), sum of their products.
        rank_bias: float64 (); the effective rank of n queries is this over n too low on average.
        rank_deviation: float64 (); its standard deviation times the square root of n.
        quantiles: float32 (scalars, 101), for people.
    """

    format: np.ndarray
    encoder_id: np.ndarray
    source: np.ndarray
    mean: np.ndarray
    axes: np.ndarray
    edges: np.ndarray
    categories: np.ndarray
    counts: np.ndarray
    category_counts: np.ndarray
    slice_counts: np.ndarray
    images: np.ndarray
    spread_images: np.ndarray
    along: np.ndarray
    products: np.ndarray
    rank_bias: np.ndarray
    rank_deviation: np.ndarray
    quantiles: np.ndarray

    @property
    def dim(self) -> int:
        """Of the embeddings."""
        return len(self.mean)

    @cached_property
    def names(self) -> list[str]:
        """Of the features, in order."""
        return [
            *(f"dimension {number}" for number in range(self.dim)),
            *(f"component {number + 1}" for number in range(self.components)),
            *SCALARS,
        ]

    @cached_property
    def places(self) -> dict[str, int]:
        """From a category to its number."""
        return {str(name): number for number, name in enumerate(self.categories)}

    @property
    def components(self) -> int:
        """Principal components that have bins."""
        return min(COMPONENTS, len(self.axes))

    def along_axes(self, embeddings: np.ndarray) -> np.ndarray:
        """Places along the axes: float32 (images, axes), of float32 (images, dim)."""
        return (embeddings - self.mean) @ self.axes.T

    def bins(self, embeddings: np.ndarray, along: np.ndarray, scalars: np.ndarray) -> np.ndarray:
        """The bin of each feature: uint8 (images, features); `BINS` for NaN, which is counted nowhere.

        Args:
            embeddings: float32 (images, dim), L2-normalised.
            along: float32 (images, axes), of `along_axes`.
            scalars: float32 (images, scalars), in the order of `SCALARS`; NaN where there is no value.
        """
        values = np.concatenate([embeddings, along[:, :COMPONENTS], scalars], axis=1, dtype=np.float32)
        return find_bins(values, self.edges)

    def category_numbers(self, categories: Sequence[str | None]) -> np.ndarray:
        """See `number_categories`."""
        return number_categories(categories, self.places)


def number_categories(categories: Sequence[str | None], places: Mapping[str, int]) -> np.ndarray:
    """int64 (images,): the place of each category, `len(places)` for all that have none, -1 where it is unknown."""
    return np.array([places.get(name, len(places)) if name else -1 for name in categories], np.int64)


def count_categories(numbers: np.ndarray, categories: int) -> np.ndarray:
    """int64 (categories + 1,), of `number_categories`' answer."""
    return np.bincount(numbers[numbers >= 0], minlength=categories + 1)


def find_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """uint8 (images, features) of float32 (images, features) and of edges (features, BINS - 1); `BINS` for NaN."""
    bins = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS):
        part = values[start : start + _ROWS]
        found = np.zeros(part.shape, np.uint8)
        for edge in edges.T:
            found += part >= edge
        found[np.isnan(part)] = BINS
        bins[start : start + _ROWS] = found
    return bins


def count_bins(bins: np.ndarray) -> np.ndarray:
    """int64 (features, BINS): how many images each bin of each feature has, of `find_bins`' answer."""
    features = bins.shape[1]
    flat = bins + np.arange(features, dtype=np.int64) * (BINS + 1)
    return np.bincount(flat.ravel(), minlength=features * (BINS + 1)).reshape(features, BINS + 1)[:, :BINS]


def count_slices(bins: np.ndarray, numbers: np.ndarray, *, categories: int, dim: int) -> np.ndarray:
    """int64 (categories, components + scalars, BINS), of `find_bins`' answer and the images' category numbers."""
    found = [count_bins(bins[numbers == number][:, dim:]) for number in range(categories)]
    return np.stack(found) if found else np.zeros((0, bins.shape[1] - dim, BINS), np.int64)


def input_statistics(pixels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Measure photos as the encoder gets them.

    Args:
        pixels: uint8 (images, height, width, 3): what `thinned` leaves of the pixels for the encoder.
        sizes: int (images, 2), width and height of the upright files, in pixels.

    Returns:
        float32 (images, 5), in the order of `INPUTS`.
    """
    sample = pixels.astype(np.float32)
    brightness = (sample @ _REC_601).mean(axis=(1, 2))
    grey = (pixels.max(axis=3) - pixels.min(axis=3) <= _GREY).mean(axis=(1, 2))
    width, height = np.asarray(sizes, np.float32).T
    return np.stack([brightness, width, height, width / height, grey], axis=1).astype(np.float32)


def thinned(pixels: np.ndarray) -> np.ndarray:
    """Every fourth pixel of every fourth row, in memory of its own: what `input_statistics` is given everywhere."""
    return np.ascontiguousarray(pixels[..., ::_STEP, ::_STEP, :])


def read_drift_reference(path: Path) -> DriftReference:
    """Read a bundle's reference; nothing in the file is unpickled.

    Raises:
        BundleError: no such file, or one of a bundle that was exported before drift was watched.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "format" not in stored.files or stored["format"] != _FORMAT:
                raise BundleError(
                    f"{path}: the drift reference is of an older version, which has no bins; export the bundle again"
                )
            return DriftReference(**{field.name: stored[field.name] for field in fields(DriftReference)})
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: no readable drift reference ({error}); export the bundle again") from None
