"""Measure whether maps lie on the object: the pointing game and its energy-based variant, with known masks."""

import numpy as np

__all__ = ["centre_hits", "energy_inside", "pointing_hits"]

_TOLERANCE = 1e-6


def pointing_hits(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """1 where the map's highest pixel lies on the object: the pointing game (Zhang et al., 2016), without a margin.

    Of several highest pixels the one nearest to their mean position counts; a constant map therefore points to the
    centre, like the centre baseline.

    Args:
        maps: float array of shape (images, height, width).
        masks: bool of the same shape, True on the object.

    Returns:
        float64 of shape (images,).
    """
    spread = np.abs(maps).max(axis=(1, 2), keepdims=True)
    highest = maps >= maps.max(axis=(1, 2), keepdims=True) - _TOLERANCE * spread
    hits = [float(mask[_middle(where)]) for where, mask in zip(highest, masks, strict=True)]
    return np.array(hits, dtype=np.float64)


def _middle(where: np.ndarray) -> tuple[int, int]:
    at = np.argwhere(where)
    row, column = at[((at - at.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(row), int(column)


def energy_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of the positive attribution that lies on the object: the energy-based pointing game (Wang et al., 2020).

    Args:
        maps: float array of shape (images, height, width).
        masks: bool of the same shape, True on the object.

    Returns:
        float64 of shape (images,); a map without positive values gets the mask's share of the area, as a constant map.
    """
    positive = np.maximum(maps, 0).astype(np.float64)
    total = positive.sum(axis=(1, 2))
    inside = (positive * masks).sum(axis=(1, 2))
    return np.where(total > 0, inside / np.where(total > 0, total, 1), masks.mean(axis=(1, 2)))


def centre_hits(masks: np.ndarray) -> np.ndarray:
    """1 where the image's centre lies on the object: float64 of shape (images,)."""
    return masks[:, masks.shape[1] // 2, masks.shape[2] // 2].astype(np.float64)
