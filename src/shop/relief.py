"""Light and highlights that make a flat area look round."""

import cv2
import numpy as np

__all__ = ["relief"]


def relief(cover: np.ndarray, thickness: float, strength: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Light and highlights of a part that bulges towards us, lit from the upper left.

    Args:
        cover: float32 of shape (height, width).
        thickness: of the part, in pixels.
        strength: 0 for flat.
        reach: how far from its rim a thick part still bulges, in pixels.

    Returns:
        Two float32 arrays of that shape: brightness around 1, and highlights in 0..1.
    """
    if strength == 0:
        return np.ones_like(cover), np.zeros_like(cover)
    sigma = float(np.clip(0.3 * thickness, 1.0, reach))
    # The bulge is smooth, so a quarter of the resolution is enough where it is wide, at a tenth of the time.
    factor = 4 if sigma > 4 and min(cover.shape) > 16 else 1
    height, width = cover.shape
    small = (
        cv2.resize(cover, (width // factor, height // factor), interpolation=cv2.INTER_AREA) if factor > 1 else cover
    )
    bulge = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_CONSTANT)
    slope = (cv2.Sobel(bulge, -1, 1, 0) + cv2.Sobel(bulge, -1, 0, 1)) * (sigma / factor / 4)
    rim = np.clip((1 - bulge) * 2, 0, 1)
    light = 1 + strength * (0.22 * np.clip(slope, -1.2, 1.2) - 0.22 * rim * rim)
    shine = strength * np.clip(slope * 1.3 - 0.25, 0, 1) ** 2
    if factor > 1:
        light = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
        shine = cv2.resize(shine, (width, height), interpolation=cv2.INTER_LINEAR)
    return light.astype(np.float32), shine.astype(np.float32)
