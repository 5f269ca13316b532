"""From the bytes of an image file to upright RGB pixels."""

import io

import numpy as np
import simplejpeg
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from src.contracts.grey_levels import grey_levels
from src.contracts.image_errors import ImageTooLargeError
from src.contracts.image_header import ImageFile, ImageHeader, image_errors, open_image
from src.contracts.jpeg_reduction import Box, reduced
from src.contracts.png_pixels import check_png_pixels, eight_bit_transparency
from src.contracts.preprocessing_spec import PreprocessingSpec
from src.contracts.tiff_layout import check_tiff
from src.contracts.webp import WebP, decode_webp, has_libwebp

__all__ = ["MAX_PIXELS", "MAX_SIDE", "decode"]

MAX_PIXELS = 64_000_000
"""Images of more pixels are refused before they are decoded, unless a caller sets another limit."""

MAX_SIDE = 32_767
"""Longer sides are refused too: the memory that resizing one line takes grows with its length."""

_WHITE = (255, 255, 255)
_STRIP = 125_000  # pixels


def decode(
    file: bytes | ImageFile,
    *,
    spec: PreprocessingSpec | None = None,
    box: Box | None = None,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decode an image file to upright RGB.

    The EXIF orientation is applied, transparency is flattened on white, palettes, CMYK, 1-bit and 16-bit images become
    8-bit RGB, an animation gives its first frame. Colour profiles are not applied. Grey values of more than 8 bits are
    scaled as `grey_levels` says.

    Args:
        file: the bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF file, or what `open_image` made of them; that is used up.
        spec: what the pixels will be resized to. With `decoding=reduced` a JPEG is then decoded at 1/2, 1/4 or 1/8 of
            its sides, where at least twice the pixels that resizing needs are left. None decodes all pixels.
        box: with `spec`, the part of the picture that will be cut out before it is resized. All is decoded.
        max_pixels: larger images are refused on the strength of their header, whatever the scale.

    Returns:
        uint8 array of shape (height, width, 3).

    Raises:
        UnsupportedImageError: none of these formats, or a kind of them that would be read wrongly.
        ImageTooLargeError: more than `max_pixels` pixels, a side above `MAX_SIDE`, or too many passes over the pixels.
        CorruptImageError: truncated or damaged, or of more segments and tags than a picture has use for.
    """
    with image_errors():
        data, header, source = file if isinstance(file, ImageFile) else open_image(file)
        _check_size(header, max_pixels)
        if isinstance(source, WebP):
            if has_libwebp():
                return _from_webp(data, source, header.orientation)
            source = Image.open(io.BytesIO(data), formats=("WEBP",))
        with source:
            if isinstance(source, TiffImageFile):
                check_tiff(source, data, max_pixels)
            divisor = header.divisor(spec, box)
            if header.format == "JPEG" and header.mode in ("RGB", "L"):
                pixels = _fast_jpeg(data, source.size, divisor)
                if pixels is not None:
                    return np.ascontiguousarray(_turned(pixels, header.orientation))
            if divisor > 1:
                source.draft(None, (source.width // divisor, source.height // divisor))
            source.load()
            if header.format == "PNG":
                check_png_pixels(source, data)
                eight_bit_transparency(source, data)
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


def _check_size(header: ImageHeader, max_pixels: int) -> None:
    width, height = header.width, header.height
    if width * height > max_pixels:
        raise ImageTooLargeError(f"{width} x {height} pixels; at most {max_pixels:,} are read")
    if max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(f"{width} x {height} pixels; no side may have more than {MAX_SIDE:,}")


def _convert(image: Image.Image, pixels: np.ndarray) -> None:
    """Write an image's pixels as RGB, strip by strip: the whole at once would be in memory several times."""
    width, height = image.size
    grey = grey_levels(image)
    transparent = image.has_transparency_data
    rows = max(1, _STRIP // max(1, width))
    for y in range(0, height, rows):
        strip = image.crop((0, y, width, min(y + rows, height)))
        pixels[y : y + rows] = grey.to_rgb(np.asarray(strip)) if grey else np.asarray(_to_rgb(strip, transparent))


def _to_rgb(image: Image.Image, transparent: bool) -> Image.Image:
    if transparent:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*_WHITE, 255)), image).convert("RGB")
    return image.convert("RGB")
