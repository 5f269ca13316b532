"""The catalogue images that an export is calibrated with and held against."""

from dataclasses import dataclass

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels

__all__ = ["LEAST_OVERLAP", "GateImages", "read_gate_images"]

_BATCH = 128
LEAST_OVERLAP = 20
"""Images below which nearly all are among the ten nearest, so that the gate could not fail."""


@dataclass(frozen=True)
class GateImages:
    """Pixels, uint8 arrays of shape (images, size, size, 3).

    Attributes:
        parity: evenly spaced in the gallery.
        overlap: a sample of the gallery; empty where every precision is fp32.
        calibration: a sample of the gallery without the queries of validation and test; empty without int8.
    """

    parity: np.ndarray
    overlap: np.ndarray
    calibration: np.ndarray


def read_gate_images(
    catalogue: Catalogue, spec: PreprocessingSpec, *, parity: int, overlap: int, calibration: int
) -> GateImages:
    """Read at most so many images for each purpose; the samples are the same each time.

    Raises:
        LookalikeError: an overlap is wanted of too few images; or images to calibrate with are wanted, and each gallery
            image is an evaluation query.
    """
    rows = catalogue.gallery_rows(None)
    if overlap and len(rows) < LEAST_OVERLAP:
        raise LookalikeError(
            f"a lower precision is judged by the ten nearest that it finds, and the gallery has {len(rows)} images; "
            f"{LEAST_OVERLAP} are the least, set `precision=fp32`"
        )
    asked = np.union1d(catalogue.query_rows("val"), catalogue.query_rows("test"))
    free = np.setdiff1d(rows, asked)
    if calibration and not len(free):
        raise LookalikeError(
            "`precision=int8`: each gallery image is a query of validation or test, so that none is left to calibrate "
            "with; set `precision=fp16`, or leave products for training (`data.split_by=product`)"
        )
    evenly = rows[np.linspace(0, len(rows) - 1, min(parity, len(rows))).astype(int)]
    return GateImages(
        _pixels(catalogue, evenly, spec),
        _pixels(catalogue, _sample(rows, overlap), spec),
        _pixels(catalogue, _sample(free, calibration), spec),
    )


def _sample(rows: np.ndarray, count: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).choice(rows, min(count, len(rows)), replace=False))


def _pixels(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec) -> np.ndarray:
    parts = list(iterate_pixels(catalogue, rows, spec, batch=_BATCH))
    return np.concatenate(parts) if parts else np.empty((0, spec.size, spec.size, 3), np.uint8)
