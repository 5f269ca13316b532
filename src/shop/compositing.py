"""Arithmetic on pictures: NumPy's broadcasting over three channels takes ten times as long as OpenCV's loops."""

import cv2
import numpy as np

__all__ = ["blurred", "mixed", "over", "times"]


def times(picture: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """An RGB picture, float32 (height, width, 3), with each pixel times the plane's, float32 (height, width)."""
    return np.asarray(cv2.multiply(picture, cv2.merge((plane, plane, plane))))


def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """A premultiplied RGBA picture (0..255) on top of an RGB one; float32 of shape (height, width, 3)."""
    red, green, blue, alpha = cv2.split(front)
    return np.asarray(cv2.add(cv2.merge((red, green, blue)), times(back, 1 - alpha / np.float32(255))))


def mixed(picture: np.ndarray, colour: np.ndarray, share: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """The picture with a share of each pixel, float32 (height, width), replaced by a shaded colour (3 numbers)."""
    paint = share * shade
    layer = cv2.merge([paint * np.float32(c) for c in colour])
    return np.asarray(cv2.add(times(picture, 1 - share), layer))


def blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with zeros around; at a quarter of the resolution where that makes no visible difference."""
    height, width = plane.shape
    if sigma <= 4 or min(height, width) < 16:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))
    small = cv2.resize(plane, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / 4, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))
