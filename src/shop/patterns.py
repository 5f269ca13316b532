"""Patterns: how much of the primary, secondary and accent colour lies where on a surface."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from src.shop import motifs

__all__ = ["LATE_STYLES", "PATTERNS", "STYLE_OF", "pattern_weights"]


@dataclass(frozen=True)
class _Grid:
    """Coordinates in periods of the pattern.

    Attributes:
        u: across, float32 of shape (height, width).
        v: down.
        pixel: length of a pixel, in periods: the width of an antialiased edge.
        seed: what the scattered patterns are drawn from.
    """

    u: np.ndarray
    v: np.ndarray
    pixel: float
    seed: int

    def edge(self, distance: np.ndarray) -> np.ndarray:
        """1 where the distance (in periods) is positive, 0 where it is negative, soft over a pixel."""
        return np.clip(distance / self.pixel + 0.5, 0.0, 1.0)

    def band(self, x: np.ndarray, centre: float, width: float) -> np.ndarray:
        """1 on a repeated band of that centre and width."""
        return self.edge(width / 2 - np.abs((x - centre + 0.5) % 1.0 - 0.5))


_Layers = tuple[np.ndarray, np.ndarray]
"""Coverage by the secondary colour, and by the accent on top of it; each float32 (height, width) in 0..1."""


def _none(g: _Grid) -> np.ndarray:
    return np.zeros_like(g.u)


def _plain(g: _Grid) -> _Layers:
    return _none(g), _none(g)


def _stripes(g: _Grid) -> _Layers:
    return g.band(g.v, 0.5, 0.5), _none(g)


def _pinstripes(g: _Grid) -> _Layers:
    return g.band(g.v, 0.5, 0.2), _none(g)


def _double_stripes(g: _Grid) -> _Layers:
    return g.band(g.v, 0.32, 0.16), g.band(g.v, 0.68, 0.16)


def _gingham(g: _Grid) -> _Layers:
    return 0.5 * g.band(g.u, 0.5, 0.5) + 0.5 * g.band(g.v, 0.5, 0.5), _none(g)


def _tartan(g: _Grid) -> _Layers:
    ground = 0.45 * g.band(g.u, 0.5, 0.45) + 0.45 * g.band(g.v, 0.5, 0.45)
    return ground, 0.9 * np.maximum(g.band(g.u, 0.1, 0.08), g.band(g.v, 0.1, 0.08))


def _windowpane(g: _Grid) -> _Layers:
    return np.maximum(g.band(g.u, 0.5, 0.12), g.band(g.v, 0.5, 0.12)), _none(g)


def _dots(g: _Grid) -> _Layers:
    # Every other row moves by half a period, as on printed cotton.
    row = np.floor(g.v)
    u = (g.u + 0.5 * (row % 2)) % 1.0 - 0.5
    return g.edge(0.3 - np.hypot(u, g.v % 1.0 - 0.5)), _none(g)


def _rings(g: _Grid) -> _Layers:
    radius = np.hypot(g.u % 1.0 - 0.5, g.v % 1.0 - 0.5)
    return g.edge(0.09 - np.abs(radius - 0.31)), g.edge(0.1 - radius)


def _chevron(g: _Grid) -> _Layers:
    return g.band(g.v + np.abs(g.u % 1.0 - 0.5) * 1.2, 0.5, 0.45), _none(g)


def _argyle(g: _Grid) -> _Layers:
    u, v = g.u, g.v * 0.7
    diamond = g.edge(0.5 - np.abs(u % 1.0 - 0.5) - np.abs(v % 1.0 - 0.5))
    lines = np.maximum(g.band(u + v, 0.0, 0.07), g.band(u - v, 0.0, 0.07))
    return diamond, lines


def _waves(g: _Grid) -> _Layers:
    return g.band(g.v + 0.22 * np.sin(2 * np.pi * g.u), 0.5, 0.45), _none(g)


def _houndstooth(g: _Grid) -> _Layers:
    u, v = g.u * 2, g.v * 2
    square = (np.floor(u) + np.floor(v)) % 2
    tooth = ((u + v) % 1.0 < 0.5) & (np.floor(u) % 2 == 0)
    return np.where(np.floor(v) % 2 == 0, np.maximum(1 - square, tooth), (1 - square) * tooth).astype(
        np.float32
    ), _none(g)


def _ombre(g: _Grid) -> _Layers:
    return np.clip(0.5 + 0.3 * g.v, 0.0, 1.0), _none(g)


def _colour_block(g: _Grid) -> _Layers:
    return g.edge(g.v), _none(g)


def _panels(g: _Grid) -> _Layers:
    return g.edge(g.v + 0.7), g.edge(g.v - 0.5)


def _scattered(kind: str) -> Callable[[_Grid], _Layers]:
    def layers(g: _Grid) -> _Layers:
        tile = motifs.tile(kind, g.seed)
        return motifs.sample(tile[..., 0], g.u, g.v), motifs.sample(tile[..., 1], g.u, g.v)

    return layers


PATTERNS: dict[str, tuple[str, Callable[[_Grid], _Layers]]] = {
    "plain": ("plain", _plain),
    "stripes": ("striped", _stripes),
    "pinstripes": ("striped", _pinstripes),
    "double_stripes": ("striped", _double_stripes),
    "gingham": ("checked", _gingham),
    "tartan": ("checked", _tartan),
    "windowpane": ("checked", _windowpane),
    "houndstooth": ("checked", _houndstooth),
    "dots": ("dotted", _dots),
    "rings": ("dotted", _rings),
    "confetti": ("dotted", _scattered("confetti")),
    "chevron": ("geometric", _chevron),
    "argyle": ("geometric", _argyle),
    "waves": ("geometric", _waves),
    "stars": ("geometric", _scattered("stars")),
    "terrazzo": ("geometric", _scattered("terrazzo")),
    "floral": ("botanical", _scattered("floral")),
    "leaves": ("botanical", _scattered("leaves")),
    "camo": ("camouflage", _scattered("camo")),
    "ombre": ("colour_block", _ombre),
    "halves": ("colour_block", _colour_block),
    "panels": ("colour_block", _panels),
    "leopard": ("animal", _scattered("leopard")),
    "zebra": ("animal", _scattered("zebra")),
    "marble": ("psychedelic", _scattered("marble")),
    "swirl": ("psychedelic", _scattered("swirl")),
}
"""Pattern name -> its style and its layers."""

STYLE_OF = {name: style for name, (style, _) in PATTERNS.items()}
LATE_STYLES = ("animal", "psychedelic")
"""Styles that the shop sells from November on only."""


def pattern_weights(
    name: str, x: np.ndarray, y: np.ndarray, *, scale: float, angle: float, seed: int, pixel: float
) -> np.ndarray:
    """A pattern on a surface.

    Args:
        name: one of `PATTERNS`.
        x: float32 of shape (height, width), coordinates in the unit square; likewise `y`.
        y: see `x`.
        scale: the pattern's period, in the unit square's units.
        angle: clockwise turn of the pattern, degrees.
        seed: what scattered patterns are drawn from.
        pixel: length of a pixel, in the unit square's units.

    Returns:
        Float32 of shape (3, height, width): shares of the primary, secondary and accent colour, which sum to 1.
    """
    turn = np.radians(angle)
    cos, sin = np.float32(np.cos(turn) / scale), np.float32(np.sin(turn) / scale)
    grid = _Grid(u=x * cos + y * sin, v=y * cos - x * sin, pixel=pixel / scale, seed=seed)
    secondary, accent = PATTERNS[name][1](grid)
    covered = secondary * (1 - accent)
    return np.stack([(1 - secondary) * (1 - accent), covered, accent]).astype(np.float32)
