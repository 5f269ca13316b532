"""Customers' photos: the item in a cluttered scene, held, badly lit, blurred, noisy and compressed."""

import cv2
import numpy as np

from src.shop.compositing import blurred, mixed, over, times
from src.shop.scenes import scene
from src.shop.shapes import ellipse, path, turn
from src.shop.sprites import Sprite

__all__ = ["take_photo"]

_SKIN = np.array([(236, 188, 160), (206, 150, 116), (158, 106, 76), (104, 68, 48)], dtype=np.float32)


def take_photo(item: Sprite, rng: np.random.Generator, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Photograph an item with a phone.

    Args:
        item: what to photograph.
        rng: the image's stream.
        seed: the shop's.

    Returns:
        The photo, uint8 RGB of shape (size, size, 3); the mask of the item's visible pixels, uint8 of shape
        (size, size), 0 or 255; and the JPEG quality to store the photo with.
    """
    size = item.small.shape[0]
    front = item.warped(_pose(item, rng), size)
    alpha = np.ascontiguousarray(front[..., 3])
    picture = over(front, _with_shadow(rng, scene(rng, size, seed), alpha))
    visible = alpha / np.float32(255)
    if rng.random() < 0.35:
        picture, visible = _occluded(rng, picture, visible)
    picture = _lit(rng, picture)
    picture = _captured(rng, picture)
    mask = np.where(visible >= 0.5, 255, 0).astype(np.uint8)
    return np.clip(picture, 0, 255).astype(np.uint8), mask, int(rng.integers(38, 80))


def _pose(item: Sprite, rng: np.random.Generator) -> np.ndarray:
    """Perspective from the sprite to the photo: off-centre, turned up to 25 degrees, 55 to 88 % of the photo's side."""
    size = item.small.shape[0]
    left, top, right, bottom = item.bounds
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)
    centre = corners.mean(axis=0)
    longest = max(right - left, bottom - top)
    scale = rng.uniform(0.55, 0.88) * size / longest
    moved = turn(corners, float(np.clip(rng.normal(0, 11), -25, 25)), centre) - centre
    moved = moved * scale + rng.uniform(-0.06, 0.06, size=(4, 2)) * longest * scale
    room = np.maximum(size / 2 - np.abs(moved).max(axis=0), 0)
    # Now and then a little of it is outside the picture.
    moved = moved + size / 2 + rng.uniform(-1, 1, 2) * (room + 0.03 * size)
    return np.asarray(cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32)))


def _with_shadow(rng: np.random.Generator, back: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    size = alpha.shape[0]
    shift = np.array([[1, 0, rng.uniform(-0.06, 0.06) * size], [0, 1, rng.uniform(0.0, 0.06) * size]])
    shadow = blurred(cv2.warpAffine(alpha, shift, (size, size)), size * float(rng.uniform(0.015, 0.05)))
    return times(back, 1 - shadow * np.float32(rng.uniform(0.3, 0.6) / 255))


def _occluded(rng: np.random.Generator, picture: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay a hand or a strip over the edge of the item."""
    size = picture.shape[0]
    rows, columns = np.nonzero(visible > 0.5)
    if len(rows) == 0:
        return picture, visible
    middle = np.array([columns.mean(), rows.mean()])
    angle = float(rng.uniform(0, 360))
    reach = 0.5 * np.sqrt(len(rows)) * rng.uniform(0.9, 1.3)
    spot = middle + reach * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    unit = size * float(rng.uniform(0.055, 0.085))
    if rng.random() < 0.65:
        colour = _SKIN[int(rng.integers(len(_SKIN)))]
        shapes = [ellipse(3.6, 0, 2.4, 1.9)]
        shapes += [turn(ellipse(0.9, 0, 1.9, 0.42), 14 * k) + (0.5, 0.85 * k) for k in (-1.5, -0.5, 0.5, 1.5)]
        shapes.append(path((4.5, -1.4), (12, -1.8), (12, 1.8), (4.5, 1.4)))
    else:
        colour = rng.uniform(20, 235, 3).astype(np.float32)
        shapes = [path((0.3, -12), (1.4, -12), (1.4, 12), (0.3, 12))]
    cover = np.zeros((size, size), dtype=np.uint8)
    for shape in shapes:
        placed = turn(shape * unit, angle) + spot
        cv2.fillPoly(cover, [np.round(placed * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    share = cover.astype(np.float32) / 255
    bulge = blurred(share, unit * 0.5)
    picture = times(picture, 1 - np.float32(0.35) * bulge * (1 - share))
    return mixed(picture, colour, share, np.float32(0.72) + np.float32(0.3) * bulge), visible * (1 - share)


def _lit(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Exposure, white balance, uneven light and shadows across the scene."""
    size = picture.shape[0]
    warmth, tint = rng.normal(0, 0.07), rng.normal(0, 0.03)
    gains = np.array([1 + warmth, 1 + tint, 1 - warmth]).clip(0.82, 1.18) * rng.uniform(0.72, 1.2)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.28)
    light = 1 + np.float32(depth * np.cos(angle)) * axis[None, :] + np.float32(depth * np.sin(angle)) * axis[:, None]
    if rng.random() < 0.4:
        light = light * _shadow(rng, size)
    contrast = rng.uniform(0.8, 1.15)
    offset = 118 + rng.normal(0, 8) - 118 * contrast
    gain = cv2.merge([light * np.float32(channel * contrast) for channel in gains])
    return np.asarray(cv2.multiply(picture, gain) + np.float32(offset))


def _shadow(rng: np.random.Generator, size: int) -> np.ndarray:
    edge = path((0, -2), (3, -2), (3, 2), (0, 2)) * size
    placed = turn(edge, float(rng.uniform(0, 360))) + size / 2 + rng.uniform(-0.25, 0.25, 2) * size
    shade = np.zeros((size, size), dtype=np.uint8)
    cv2.fillPoly(shade, [np.round(placed).astype(np.int32)], 255)
    # The border has the value of its pixels here: blurred with zeros around, the shadow would fade at the edges.
    soft = cv2.GaussianBlur(
        cv2.resize(shade, (size // 4, size // 4)), (0, 0), size * float(rng.uniform(0.01, 0.06)) / 4
    )
    soft = cv2.resize(soft, (size, size)).astype(np.float32)
    return np.asarray(1 - soft * np.float32(rng.uniform(0.15, 0.4) / 255))


def _captured(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Blur and sensor noise; amounts are for 160 pixels and grow with the image."""
    size = picture.shape[0]
    unit = size / 160
    kind = rng.random()
    if kind < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), max(unit * float(rng.uniform(0.3, 1.2)), 0.1))
    elif kind < 0.7:
        length = max(3, round(unit * float(rng.uniform(2, 5))))
        kernel = np.zeros((length, length), dtype=np.float32)
        direction = 0.5 * length * turn(path((-1, 0), (1, 0)), float(rng.uniform(0, 180))) + (length - 1) / 2
        cv2.line(kernel, direction[0].round().astype(int).tolist(), direction[1].round().astype(int).tolist(), 1.0)
        picture = cv2.filter2D(picture, -1, kernel / max(float(kernel.sum()), 1.0))
    # Uniform noise of that standard deviation: after JPEG nobody can tell it from normal noise, and it is drawn faster.
    amount = np.float32(rng.uniform(2, 9) * np.sqrt(12))
    return np.asarray(picture + (rng.random(picture.shape, dtype=np.float32) - np.float32(0.5)) * amount)
