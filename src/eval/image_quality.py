"""Brightness, contrast and sharpness of images, by which queries can be sliced."""

import cv2
import numpy as np

from src.catalog.quality.measures import luma

__all__ = ["QUALITIES", "image_quality"]

QUALITIES = ("brightness", "contrast", "sharpness")


def image_quality(pixels: np.ndarray) -> np.ndarray:
    """Measure a batch of images after decoding and resizing, as the encoder gets them.

    Brightness is the mean and contrast the standard deviation of the luma (Rec. 601), sharpness the logarithm of one
    plus the variance of its Laplacian (Pech-Pacheco et al.: Diatom autofocusing in brightfield microscopy, 2000).
    Values are comparable within one preprocessing; sharpness is that of the resized image.

    Args:
        pixels: uint8 of shape (images, size, size, 3).

    Returns:
        float32 of shape (images, 3), in the order of `QUALITIES`; brightness and contrast from 0 to 255.
    """
    grey = luma(pixels)
    edges = [cv2.Laplacian(image, cv2.CV_32F).var() for image in grey]
    measured = (grey.mean(axis=(1, 2)), grey.std(axis=(1, 2)), np.log1p(np.array(edges, np.float32)))
    return np.stack(measured, axis=1).astype(np.float32)
