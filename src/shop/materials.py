"""Materials: the fine light and dark of a surface, and how much it shines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from src.shop.motifs import noise

__all__ = ["MATERIALS", "Material", "texture"]

_Texture = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Material:
    """What a product is made of.

    Attributes:
        grain: (x, y, rng) -> float32 of their shape: relative brightness around 0; x and y lie in the unit square.
        shine: strength of highlights, 0 (matt) to 1 (mirror).
        folds: depth of the soft folds of cloth, 0 for what is stiff.
    """

    grain: _Texture
    shine: float
    folds: float


def texture(material: str, x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Brightness of a surface: float32 of the shape of `x`, about 0.7 to 1.2; `x` and `y` lie in the unit square."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 77])))
    made_of = MATERIALS[material]
    shade = 1.0 + made_of.grain(x, y, rng)
    if made_of.folds:
        side = x.shape[0]
        drape = noise(rng, 5, side) + 0.8 * np.sin(9 * x + 5 * noise(rng, 3, side))
        shade = shade + made_of.folds * drape
    return shade.astype(np.float32)


def _cotton(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.02 * rng.standard_normal(x.shape, dtype=np.float32)


def _denim(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    twill = np.sin((x + y) * 110)
    return 0.05 * twill + 0.06 * rng.standard_normal(x.shape, dtype=np.float32) + 0.08 * noise(rng, 6, x.shape[0])


def _knit(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    column = np.abs((x * 14) % 1.0 - 0.5)
    return 0.10 * np.sin(2 * np.pi * (y * 14 + column * 1.4)) - 0.14 * (column > 0.42)


def _cable(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    centre = np.abs((x * 4 + 0.16 * np.sin(y * 22)) % 1.0 - 0.5)
    return 0.16 * np.cos(centre * 2 * np.pi * 2) + 0.04 * np.sin(y * 110)


def _corduroy(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.15 * np.sin(x * 62) + 0.03 * rng.standard_normal(x.shape, dtype=np.float32)


def _quilted(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    a, b = ((x + y) * 3.2) % 1.0, ((x - y) * 3.2) % 1.0
    return 0.2 * np.minimum(np.sin(np.pi * a), np.sin(np.pi * b)) ** 0.6 - 0.14


def _leather(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = x.shape[0]
    return 0.05 * noise(rng, 48, side) + 0.04 * noise(rng, 14, side)


def _suede(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.09 * noise(rng, 9, x.shape[0]) + 0.03 * rng.standard_normal(x.shape, dtype=np.float32)


def _canvas(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.05 * np.sin(x * 120) + 0.05 * np.sin(y * 120) + 0.02 * rng.standard_normal(x.shape, dtype=np.float32)


def _wicker(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    over = (np.floor(x * 9) + np.floor(y * 9)) % 2
    return 0.15 * np.where(over > 0, np.sin(np.pi * ((x * 9) % 1.0)), np.sin(np.pi * ((y * 9) % 1.0))) - 0.08


def _smooth(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.zeros_like(x)


def _brushed(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = rng.standard_normal((x.shape[0], 1), dtype=np.float32)
    return 0.05 * rows + 0.12 * np.sin(x * 5 + 1)


def _wood(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.10 * np.sin(40 * x + 6 * noise(rng, 4, x.shape[0]) + 2 * y)


MATERIALS = {
    "cotton": Material(_cotton, 0.0, 0.05),
    "denim": Material(_denim, 0.0, 0.03),
    "knit": Material(_knit, 0.0, 0.03),
    "cable_knit": Material(_cable, 0.0, 0.03),
    "corduroy": Material(_corduroy, 0.05, 0.03),
    "quilted": Material(_quilted, 0.15, 0.0),
    "satin": Material(_smooth, 0.35, 0.12),
    "leather": Material(_leather, 0.45, 0.02),
    "suede": Material(_suede, 0.0, 0.02),
    "canvas": Material(_canvas, 0.0, 0.02),
    "wicker": Material(_wicker, 0.05, 0.0),
    "ceramic": Material(_smooth, 0.7, 0.0),
    "plastic": Material(_smooth, 0.4, 0.0),
    "metal": Material(_brushed, 0.8, 0.0),
    "wood": Material(_wood, 0.1, 0.0),
}
