"""Finds the main object of a photo by its contrast to the photo's rim. Nothing is learnt."""

import numpy as np
from PIL import Image

from src.search.box import Box

__all__ = ["salient_boxes"]

_GRID = 32
"""Cells along the longer side. Boxes end on cells."""
_RIM = 2
"""Cells at each edge that are taken for background."""
_LEAST_SCORE = 0.35
"""Less contrast is no object: the whole picture is the better query then."""
_MARGIN = 0.16
"""Part of the picture that is added around a box: encoders know objects with something around them. Chosen on photos of
the built-in shop's validation split (benchmarks.serving.regions)."""


def salient_boxes(pixels: np.ndarray, most: int) -> list[tuple[Box, float]]:
    """Propose boxes by contrast to the background.

    Saliency is the Mahalanobis distance of a cell's colour to the colours of the rim (the background prior of Wei et
    al., "Geodesic Saliency Using Background Priors", ECCV 2012, in its simplest form), weighted towards the middle. A
    box is the rectangle with the largest sum of saliency above its mean (Kadane's scan over all pairs of rows); the
    next one is looked for outside it.

    Args:
        pixels: uint8 of shape (height, width, 3).
        most: boxes wanted.

    Returns:
        Boxes with scores from 0 to 1, best first: (inside - outside) / (inside + outside) of their mean saliency. None
        where the picture has no contrast.
    """
    saliency = _saliency(_cells(pixels))
    rows, columns = saliency.shape
    excess = saliency - saliency.mean()
    found: list[tuple[Box, float]] = []
    for _ in range(most):
        top, bottom, left, right = _best_rectangle(excess)
        score = _contrast(saliency, top, bottom, left, right)
        if score < _LEAST_SCORE:
            break
        found.append((_box(top / rows, bottom / rows, left / columns, right / columns), round(score, 4)))
        # Nothing of it is in the next one.
        excess[top:bottom, left:right] = -saliency.max() * saliency.size
    return found


def _cells(pixels: np.ndarray) -> np.ndarray:
    """Mean colours, float32 of shape (rows, columns, 3), the longer side `_GRID`."""
    height, width = pixels.shape[:2]
    step = max(1, max(height, width) // 512)  # A mean over every such pixel is near enough, and a large photo is quick.
    scale = _GRID / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    thinned = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step]))
    return np.asarray(thinned.resize(size, Image.Resampling.BOX), np.float32)


def _saliency(cells: np.ndarray) -> np.ndarray:
    """Float32 of shape (rows, columns), not negative."""
    rows, columns = cells.shape[:2]
    inside = np.zeros((rows, columns), bool)
    inside[_RIM : rows - _RIM, _RIM : columns - _RIM] = True
    rim = cells[~inside]
    if not inside.any():
        return np.zeros((rows, columns), np.float32)
    spread = np.cov(rim, rowvar=False) + 64.0 * np.eye(3)  # 8 grey levels are no difference.
    away = cells - rim.mean(axis=0)
    distance = np.sqrt(np.einsum("rci,ij,rcj->rc", away, np.linalg.inv(spread), away).clip(min=0))
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None]
    weighted: np.ndarray = (distance * np.exp(-(x**2 + y**2))).astype(np.float32)
    return weighted


def _best_rectangle(values: np.ndarray) -> tuple[int, int, int, int]:
    """The rectangle of the largest sum: top, bottom, left, right, the ends excluded."""
    rows, columns = values.shape
    sums = np.vstack([np.zeros((1, columns)), np.cumsum(values, axis=0)])
    tops, bottoms = np.triu_indices(rows + 1, k=1)
    bands = sums[bottoms] - sums[tops]  # (pairs of rows, columns)
    running, start = np.zeros(len(bands)), np.zeros(len(bands), int)
    best, lefts, rights = np.full(len(bands), -np.inf), np.zeros(len(bands), int), np.ones(len(bands), int)
    for column in range(columns):
        anew = running <= 0
        start[anew] = column
        running = np.where(anew, 0, running) + bands[:, column]
        better = running > best
        best[better], lefts[better], rights[better] = running[better], start[better], column + 1
    place = int(best.argmax())
    return int(tops[place]), int(bottoms[place]), int(lefts[place]), int(rights[place])


def _contrast(saliency: np.ndarray, top: int, bottom: int, left: int, right: int) -> float:
    inside, area = float(saliency[top:bottom, left:right].sum()), (bottom - top) * (right - left)
    if area == saliency.size:
        return 0.0
    mean, outside = inside / area, max(0.0, float(saliency.sum()) - inside) / (saliency.size - area)
    return (mean - outside) / (mean + outside) if mean + outside > 0 else 0.0


def _box(top: float, bottom: float, left: float, right: float) -> Box:
    x, y = max(0.0, left - _MARGIN), max(0.0, top - _MARGIN)
    width, height = min(1.0, right + _MARGIN) - x, min(1.0, bottom + _MARGIN) - y
    return Box(x=round(x, 4), y=round(y, 4), width=round(width, 4), height=round(height, 4))
