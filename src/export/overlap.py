"""Whether queries and gallery of a lower precision find what those of float32 find."""

import numpy as np

from src.contracts.errors import GateError
from src.export.runtime.neighbours import neighbour_overlap

__all__ = ["check_overlap", "recall_overlap"]


def recall_overlap(
    queries: np.ndarray, gallery: np.ndarray, true_queries: np.ndarray, true_gallery: np.ndarray, *, k: int = 10
) -> float:
    """Mean share of the k nearest by the true embeddings that are found by the others.

    Args:
        queries: float32 of shape (queries, dim), L2-normalised.
        gallery: float32 of shape (images, dim), L2-normalised, not the queries' images.
        true_queries: as `queries`, from the reference.
        true_gallery: as `gallery`, from the reference.
        k: neighbours; at most all images.
    """
    return neighbour_overlap(queries @ gallery.T, true_queries @ true_gallery.T, k=k)


def check_overlap(overlap: float, *, precision: str, index_precision: str, min_overlap: float) -> None:
    """Raise `GateError` where queries of one precision find too little in a gallery of the other."""
    if not overlap >= min_overlap:
        raise GateError(
            f"queries of {precision} against a gallery of {index_precision} find {overlap:.4f} of the ten nearest that "
            f"fp32 finds, `gates.min_overlap={min_overlap}` (off by {min_overlap - overlap:.4f}); set `precision=fp16` "
            "or `fp32`, or raise `calibration_images`"
        )
