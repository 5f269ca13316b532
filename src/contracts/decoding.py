"""From the bytes of an image file to upright RGB pixels."""

import io
from typing import cast

import numpy as np
import simplejpeg
from PIL import Image
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from src.contracts.image_errors import ImageTooLargeError
from src.contracts.image_header import ImageHeader, image_errors, open_image
from src.contracts.image_structure import MAX_SCANNED_PIXELS
from src.contracts.jpeg_reduction import Box, reduced
from src.contracts.preprocessing_spec import PreprocessingSpec
from src.contracts.webp import WebP, decode_webp, has_libwebp

__all__ = ["MAX_PIXELS", "MAX_SIDE", "decode"]

MAX_PIXELS = 64_000_000
"""Images of more pixels are refused before they are decoded, unless a caller sets another limit."""

MAX_SIDE = 32_767
"""Longer sides are refused too: the memory that resizing one line takes grows with its length."""

_WHITE = (255, 255, 255)
_STRIP = 125_000  # pixels


def decode(
    data: bytes, *, spec: PreprocessingSpec | None = None, box: Box | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode an image file to upright RGB.

    The EXIF orientation is applied, transparency is flattened on white, palettes, CMYK, 1-bit and 16-bit images become
    8-bit RGB, an animation gives its first frame. Colour profiles are not applied.

    Args:
        data: the bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF file.
        spec: what the pixels will be resized to. With `decoding=reduced` a JPEG is then decoded at 1/2, 1/4 or 1/8 of
            its sides, where at least twice the pixels that resizing needs are left. None decodes all pixels.
        box: with `spec`, the part of the picture that will be cut out before it is resized. All is decoded.
        max_pixels: larger images are refused on the strength of their header, whatever the scale.

    Returns:
        uint8 array of shape (height, width, 3).

    Raises:
        UnsupportedImageError: none of these formats.
        ImageTooLargeError: more than `max_pixels` pixels, a side above `MAX_SIDE`, or too many passes over the pixels.
        CorruptImageError: truncated or damaged, or of more segments and tags than a picture has use for.
    """
    with image_errors():
        header, source = open_image(data)
        _check_size(header, source, max_pixels)
        if isinstance(source, WebP):
            if has_libwebp():
                return _from_webp(data, source, header.orientation)
            source = Image.open(io.BytesIO(data), formats=("WEBP",))
        with source:
            divisor = header.divisor(spec, box)
            if header.format == "JPEG" and header.mode in ("RGB", "L"):
                pixels = _fast_jpeg(data, source.size, divisor)
                if pixels is not None:
                    return np.ascontiguousarray(_turned(pixels, header.orientation))
            if divisor > 1:
                source.draft(None, (source.width // divisor, source.height // divisor))
            source.load()
            # Pillow turns a TIFF as it loads it.
            orientation = 1 if isinstance(source, TiffImageFile) else header.orientation
            pixels, stored = _upright(source.height, source.width, orientation)
            _convert(source, stored)
            return pixels


def _fast_jpeg(data: bytes, size: tuple[int, int], divisor: int) -> np.ndarray | None:
    """The pixels of a JPEG, or None where the strict decoder objects and Pillow must judge."""
    width, height = (reduced(side, divisor) for side in size)
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", min_width=width, min_height=height))
    except ValueError:
        return None


def _from_webp(data: bytes, webp: WebP, orientation: int) -> np.ndarray:
    frame = decode_webp(data, webp)
    if frame.shape == (webp.height, webp.width, 3):
        return np.ascontiguousarray(_turned(frame, orientation))
    pixels, stored = _upright(webp.height, webp.width, orientation)
    # Where the first frame does not cover the picture, it is transparent.
    stored[:] = 255 if webp.alpha else 0
    left, top, width, height = webp.frame
    part = stored[top : top + height, left : left + width]
    if webp.alpha:
        _convert(Image.frombuffer("RGBA", (width, height), frame, "raw", "RGBA", 0, 1), part)
    else:
        part[:] = frame
    return pixels


def _turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    """A view that shows stored pixels as EXIF orientation 1 to 8 says (CIPA DC-008, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        stored = stored.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    return stored


def _upright(height: int, width: int, orientation: int) -> tuple[np.ndarray, np.ndarray]:
    """Room for an upright picture, and a view of it through which it is written as it is stored.

    Args:
        height: of the stored picture, in pixels.
        width: likewise.
        orientation: how it lies.
    """
    sideways = orientation in (5, 6, 7, 8)
    pixels = np.empty((width, height, 3) if sideways else (height, width, 3), np.uint8)
    # 6 and 8 undo each other, all others themselves.
    return pixels, _turned(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def _check_size(header: ImageHeader, source: Image.Image | WebP, max_pixels: int) -> None:
    width, height = header.width, header.height
    if width * height > max_pixels:
        raise ImageTooLargeError(f"{width} x {height} pixels; at most {max_pixels:,} are read")
    if max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(f"{width} x {height} pixels; no side may have more than {MAX_SIDE:,}")
    if isinstance(source, TiffImageFile):
        _check_tiff(source, max_pixels)


def _check_tiff(image: TiffImageFile, max_pixels: int) -> None:
    # A tile is held whole, however small the picture.
    tile = [int(image.tag_v2.get(tag, 0)) for tag in (TILEWIDTH, TILELENGTH)]
    if tile[0] * tile[1] > max_pixels:
        raise ImageTooLargeError(f"tiles of {tile[0]} x {tile[1]} pixels; at most {max_pixels:,} are read")
    # libtiff itself allows a hundred scans, which are not looked for here.
    most = MAX_SCANNED_PIXELS // 100
    if "jpeg" in str(image.info.get("compression")) and image.width * image.height > most:
        raise ImageTooLargeError(
            f"{image.width} x {image.height} pixels; of a TIFF compressed as JPEG at most {most:,} are read"
        )


def _convert(image: Image.Image, pixels: np.ndarray) -> None:
    """Write an image's pixels as RGB, strip by strip: the whole at once would be in memory several times."""
    width, height = image.size
    transparent = image.has_transparency_data
    top = _top(image)
    rows = max(1, _STRIP // max(1, width))
    for y in range(0, height, rows):
        strip = image.crop((0, y, width, min(y + rows, height)))
        pixels[y : y + rows] = np.asarray(_strip_to_rgb(strip, top=top, transparent=transparent))


def _strip_to_rgb(image: Image.Image, *, top: float | None, transparent: bool) -> Image.Image:
    if top is not None:
        values = np.asarray(image, dtype=np.float64)
        image = Image.fromarray(np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8))
    if transparent:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*_WHITE, 255)), image).convert("RGB")
    return image.convert("RGB")


def _top(image: Image.Image) -> float | None:
    """The value that becomes 255, of an image of more than 8 bits: floating point is taken as 0..1 where it fits."""
    if image.mode == "F":
        low, high = cast(tuple[float, float], image.getextrema())
        return 1.0 if max(low, high) <= 1 else 65535.0
    return 65535.0 if image.mode.startswith("I") else None
