"""Seamless tiles of scattered motifs and of smooth noise, for the patterns that no formula gives."""

from functools import lru_cache

import cv2
import numpy as np

from src.shop.shapes import Points, ellipse, path, smooth, turn

__all__ = ["TILE_PERIODS", "noise", "sample", "star", "tile"]

TILE_PERIODS = 3
"""Periods of the pattern that a tile spans, each way."""

_SIDE = 192


def sample(layer: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Repeat a tile over a surface.

    Args:
        layer: float32 of shape (192, 192), one layer of a tile.
        u: float32 of shape (height, width): coordinates in periods; likewise `v`.
        v: see `u`.

    Returns:
        Float32 of shape (height, width).
    """
    step = _SIDE / TILE_PERIODS
    # Remapped with wrapped coordinates: OpenCV's own wrapping border is slower than the modulo. The tile is padded by
    # one row and column so that interpolation across the seam sees the other side.
    padded = np.pad(layer, ((0, 1), (0, 1)), mode="wrap")
    x, y = (u * step) % _SIDE, (v * step) % _SIDE
    return np.asarray(cv2.remap(padded, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR))


@lru_cache(maxsize=64)
def tile(kind: str, seed: int) -> np.ndarray:
    """The tile of a scattered pattern: float32 of shape (192, 192, 2), the secondary's and the accent's coverage."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _KINDS.index(kind)])))
    if kind in _MOTIFS:
        return _scatter(kind, rng)
    return _from_noise(kind, rng)


def noise(rng: np.random.Generator, cells: int, side: int) -> np.ndarray:
    """Smooth noise that repeats without a seam: float32 of shape (side, side), about -1 to 1."""
    pad = 2
    grid = np.pad(rng.uniform(-1, 1, size=(cells, cells)).astype(np.float32), pad, mode="wrap")
    # Cubic on a quarter of the pixels where the cells are wide, linear from there: a sixth of the time.
    drawn = side // 4 if side >= 32 * cells else side
    centres = ((np.arange(drawn, dtype=np.float32) + 0.5) * (cells / drawn) - 0.5 + pad).astype(np.float32)
    x, y = np.meshgrid(centres, centres)
    smooth_grid = cv2.remap(grid, x, y, cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(smooth_grid, (side, side), interpolation=cv2.INTER_LINEAR))


def star(x: float, y: float, radius: float, points: int = 5, depth: float = 0.45) -> Points:
    """A star around (x, y), one point up."""
    angle = np.pi * np.arange(2 * points) / points - np.pi / 2
    reach = radius * np.where(np.arange(2 * points) % 2 == 0, 1.0, depth)
    return np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], axis=1)


def _flower(rng: np.random.Generator) -> tuple[list[Points], list[Points]]:
    petals = int(rng.integers(5, 7))
    reach = 0.2
    outer = [turn(ellipse(0, -reach, 0.13, 0.19, 14), 360 * k / petals + 20) for k in range(petals)]
    return outer, [ellipse(0, 0, 0.12, None, 14)]


def _leaf(rng: np.random.Generator) -> tuple[list[Points], list[Points]]:
    blade = smooth(path((0, -0.46), (0.24, -0.1), (0.12, 0.3), (0, 0.46), (-0.12, 0.3), (-0.24, -0.1)), 2)
    return [blade], [path((-0.025, -0.4), (0.025, -0.4), (0.025, 0.46), (-0.025, 0.46))]


def _star_motif(rng: np.random.Generator) -> tuple[list[Points], list[Points]]:
    return [star(0, 0, 0.36)], []


def _confetti(rng: np.random.Generator) -> tuple[list[Points], list[Points]]:
    dot = ellipse(0, 0, float(rng.uniform(0.14, 0.3)), None, 16)
    return ([dot], []) if rng.random() < 0.6 else ([], [dot])


def _chip(rng: np.random.Generator) -> tuple[list[Points], list[Points]]:
    angles = np.sort(rng.uniform(0, 2 * np.pi, 6))
    reach = rng.uniform(0.2, 0.42, 6)
    shape = np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)
    return ([shape], []) if rng.random() < 0.6 else ([], [shape])


_MOTIFS = {"floral": _flower, "leaves": _leaf, "stars": _star_motif, "confetti": _confetti, "terrazzo": _chip}
_NOISES = ("camo", "leopard", "zebra", "marble", "swirl")
_KINDS = (*_MOTIFS, *_NOISES)


def _scatter(kind: str, rng: np.random.Generator) -> np.ndarray:
    layers = np.zeros((2, _SIDE, _SIDE), dtype=np.uint8)
    cell = _SIDE / TILE_PERIODS
    for row in range(TILE_PERIODS):
        for column in range(TILE_PERIODS):
            centre = np.array([column + 0.5 + 0.25 * (row % 2), row + 0.5]) + rng.uniform(-0.14, 0.14, 2)
            angle, size = rng.uniform(0, 360), rng.uniform(0.8, 1.15)
            for layer, shapes in zip(layers, _MOTIFS[kind](rng), strict=True):
                for shape in shapes:
                    _stamp(layer, (turn(shape, angle) * size + centre) * cell)
    return np.ascontiguousarray(np.moveaxis(layers, 0, -1)).astype(np.float32) / 255


def _stamp(layer: np.ndarray, points: Points) -> None:
    # Drawn at all nine places where the motif reappears, so that what leaves on one side enters on the other.
    for dx in (-_SIDE, 0, _SIDE):
        for dy in (-_SIDE, 0, _SIDE):
            fixed = np.round((points + (dx, dy)) * 16).astype(np.int32)
            cv2.fillPoly(layer, [fixed], 255, lineType=cv2.LINE_AA, shift=4)


def _from_noise(kind: str, rng: np.random.Generator) -> np.ndarray:
    coarse, other = noise(rng, 6, _SIDE), noise(rng, 6, _SIDE)
    fine = noise(rng, 12, _SIDE)
    axis = np.linspace(0, 2 * np.pi, _SIDE, endpoint=False, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    if kind == "camo":
        layers = (_soft(coarse + 0.3 * fine - 0.05), _soft(other + 0.3 * fine - 0.3))
    elif kind == "leopard":
        spots = noise(rng, 9, _SIDE)
        ring = _soft(0.2 - np.abs(spots - 0.3)) * _soft(fine + 0.55)
        layers = (ring, _soft(spots - 0.52) * 0.8)
    elif kind == "zebra":
        layers = (_soft(np.sin(6 * y + 2.4 * coarse + 1.2 * np.sin(x)), 3.0), np.zeros_like(x))
    elif kind == "marble":
        layers = (_soft(0.16 - np.abs(coarse + 0.5 * fine)), _soft(other - 0.45))
    else:
        spiral = np.sin(3 * x + 3.2 * other) + np.sin(3 * y + 3.2 * coarse)
        layers = (_soft(spiral, 3.0), _soft(-spiral - 0.9, 3.0))
    return np.stack(layers, axis=-1).astype(np.float32)


def _soft(x: np.ndarray, sharpness: float = 9.0) -> np.ndarray:
    return np.clip(x * sharpness + 0.5, 0.0, 1.0)
