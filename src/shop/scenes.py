"""What lies behind an item in a customer's photo: floors, walls, fabrics, and clutter."""

from functools import lru_cache

import cv2
import numpy as np

from src.shop.categories import CATEGORIES
from src.shop.compositing import over
from src.shop.motifs import noise
from src.shop.palette import COLORS
from src.shop.products import sample_product
from src.shop.seeds import Stream, stream
from src.shop.sprites import blueprint, sprite

__all__ = ["BYSTANDERS", "scene"]

BYSTANDERS = 12
"""Other people's things that appear in the background of photos: drawn like products, but not in the shop."""

_GROUNDS = np.array(
    [(176, 132, 92), (120, 82, 56), (206, 184, 156), (150, 150, 148), (98, 104, 112), (226, 222, 214), (140, 156, 132),
     (186, 164, 172), (92, 112, 138), (214, 202, 178)],
    dtype=np.float32,
)  # fmt: skip


def scene(rng: np.random.Generator, size: int, seed: int) -> np.ndarray:
    """A cluttered background.

    Args:
        rng: the image's stream.
        size: side, in pixels.
        seed: the shop's, for the bystanders.

    Returns:
        Float32 RGB of shape (size, size, 3), 0..255.
    """
    picture = _ground(rng, size)
    for _ in range(int(rng.integers(1, 4))):
        picture = _with_shape(rng, picture)
    if rng.random() < 0.6:
        picture = _with_bystander(rng, picture, seed)
    return picture


def _ground(rng: np.random.Generator, size: int) -> np.ndarray:
    colour = _GROUNDS[int(rng.integers(len(_GROUNDS)))] + rng.normal(0, 8, 3).astype(np.float32)
    angle, scale = rng.uniform(0, np.pi), rng.uniform(0.12, 0.35)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    u = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))) / np.float32(scale)
    v = (y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))) / np.float32(scale)
    kind = int(rng.integers(6))
    if kind == 0:  # planks
        shade = 1 + 0.1 * np.sin(np.floor(v) * 37.7) + 0.06 * np.sin(6 * v + 3 * noise(rng, 4, size))
        shade = shade - 0.35 * (np.abs(v % 1.0 - 0.5) > 0.46)
    elif kind == 1:  # tiles
        joint = (np.abs(u % 1.0 - 0.5) > 0.46) | (np.abs(v % 1.0 - 0.5) > 0.46)
        shade = 1 + 0.06 * np.sin(np.floor(u) * 12.9 + np.floor(v) * 78.2) - 0.25 * joint
    elif kind == 2:  # a bed sheet
        shade = 1 + 0.16 * np.sin(2.2 * u + 4 * noise(rng, 3, size)) * noise(rng, 3, size)
    elif kind == 3:  # carpet
        shade = 0.72 + 0.56 * rng.random((size, size), dtype=np.float32) + 0.1 * noise(rng, 5, size)
    elif kind == 4:  # checked cloth
        shade = 1 - 0.16 * (u % 1.0 < 0.5) - 0.16 * (v % 1.0 < 0.5)
    else:  # bricks
        row = np.floor(v * 1.6)
        shifted = u * 0.8 + 0.5 * (row % 2)
        joint = (np.abs(shifted % 1.0 - 0.5) > 0.46) | (np.abs((v * 1.6) % 1.0 - 0.5) > 0.44)
        shade = 1 + 0.08 * np.sin(row * 12.9 + np.floor(shifted) * 78.2) + 0.3 * joint
    shade = shade.astype(np.float32)
    return np.asarray(cv2.merge([shade * np.float32(channel) for channel in colour]))


def _with_shape(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Something flat and of one colour: a book, a plate, a box, a cable."""
    size = picture.shape[0]
    names = list(COLORS)
    colour = [float(c) for c in np.array(COLORS[names[int(rng.integers(len(names)))]]) + rng.normal(0, 12, 3)]
    # Around the border, where it does not compete with the item.
    angle = rng.uniform(0, 2 * np.pi)
    centre = size * (0.5 + rng.uniform(0.42, 0.62) * np.array([np.cos(angle), np.sin(angle)]))
    reach = size * rng.uniform(0.1, 0.32)
    kind = int(rng.integers(3))
    if kind == 0:
        corners = reach * np.array([[-1, -0.7], [1, -0.7], [1, 0.7], [-1, 0.7]])
    elif kind == 1:
        corners = reach * np.stack([np.cos(np.arange(24) * np.pi / 12), np.sin(np.arange(24) * np.pi / 12)], axis=1)
    else:
        corners = np.array([[-2.5, -0.12], [2.5, -0.2], [2.5, 0.2], [-2.5, 0.12]]) * reach
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    fixed = np.round((corners @ rotation.T + centre) * 16).astype(np.int32)
    shadow = np.round((corners @ rotation.T + centre + size * 0.012) * 16).astype(np.int32)
    dimmed = tuple(0.55 * float(c) for c in picture[size // 2, size // 2])
    cv2.fillPoly(picture, [shadow], dimmed, shift=4)
    cv2.fillPoly(picture, [fixed], tuple(np.clip(colour, 0, 255)), shift=4)
    return picture


def _with_bystander(rng: np.random.Generator, picture: np.ndarray, seed: int) -> np.ndarray:
    size = picture.shape[0]
    thing = _bystander(seed, int(rng.integers(BYSTANDERS)), size)
    angle, around = float(rng.uniform(0, 360)), rng.uniform(0, 2 * np.pi)
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), angle, float(rng.uniform(0.4, 0.75)))
    matrix[:, 2] += size * rng.uniform(0.4, 0.55) * np.array([np.cos(around), np.sin(around)])
    return over(cv2.warpAffine(thing, matrix, (size, size)), picture)


@lru_cache(maxsize=BYSTANDERS)
def _bystander(seed: int, number: int, size: int) -> np.ndarray:
    rng = stream(seed, Stream.BYSTANDER, number)
    names = list(CATEGORIES)
    product = sample_product(rng, number, names[int(rng.integers(len(names)))])
    return sprite(blueprint(product, size), product, 0).small
