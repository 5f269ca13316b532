"""What an image file says about itself before a pixel is decoded, and how much memory decoding it will take."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from src.contracts.decoder_memory import jpeg_memory, pillow_memory, webp_memory
from src.contracts.image_errors import CorruptImageError, ImageError, UnsupportedImageError
from src.contracts.image_signature import signed_format
from src.contracts.image_structure import check_exif, check_structure
from src.contracts.jpeg_frame import read_jpeg_frame
from src.contracts.jpeg_reduction import Box, jpeg_reduction, reduced
from src.contracts.png_chunks import png_chunks
from src.contracts.preprocessing_spec import PreprocessingSpec
from src.contracts.resizing import resizing_bytes
from src.contracts.webp import WebP, is_webp, read_webp

__all__ = ["ImageFile", "ImageHeader", "decoding_bytes", "image_errors", "open_image", "read_header"]

# Pillow loads its formats when the first file is opened, and two threads that do so at once may miss one (13.0).
Image.init()

# MPO (several JPEGs in one file) comes with JPEG; Pillow has no opener of that name and would raise KeyError.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes of a pixel as Pillow stores it: 4 in all other modes."""

_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_PNG_HEADER = 33
_NO_PIXELS = b"\0\0\0\0IDAT"

_FIXED = 12 * 1024 * 1024
"""Bytes for what does not grow with the picture: strips that are converted, rows, the allocator's rounding."""

# `decode` counts each file's pixels by its header, against a limit that its caller sets; Pillow's is one for all.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What decides how an image file is decoded.

    Attributes:
        format: `JPEG`, `PNG`, `WEBP`, `GIF`, `BMP` or `TIFF`.
        mode: how the decoder stores pixels, in Pillow's words: `RGB`, `L`, `P`, `I;16`, ...
        width: of the upright picture at full scale, in pixels.
        height: likewise.
        orientation: EXIF's, 1 to 8; 1 where the file names none.
        reducible: whether it can be decoded at a smaller scale: JPEGs can, but for lossless ones.
        decoder_bytes: what its decoder holds at most beside the picture that it makes, whatever the scale.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    reducible: bool
    decoder_bytes: int

    def divisor(self, spec: PreprocessingSpec | None, box: Box | None = None) -> int:
        """By what the sides are divided when it is decoded for `spec`: 1, 2, 4 or 8."""
        return jpeg_reduction(spec, self.width, self.height, box=box) if self.reducible else 1


class ImageFile(NamedTuple):
    """An image file whose header has been read, and what decodes its pixels: once."""

    data: bytes
    header: ImageHeader
    source: Image.Image | WebP


def read_header(data: bytes) -> ImageHeader:
    """Read an image file's header; decode no pixel.

    It takes memory for what stands before the pixels: at most 64 MiB, for the texts of a PNG.

    Args:
        data: the whole file.

    Returns:
        The header, of a file of any number of pixels.

    Raises:
        UnsupportedImageError: not a JPEG, PNG, WebP, GIF, BMP or TIFF file.
        ImageTooLargeError: a JPEG of too many passes over its pixels.
        CorruptImageError: damaged, or of more segments and tags than a picture has use for.
    """
    return open_image(data).header


def decoding_bytes(header: ImageHeader, *, spec: PreprocessingSpec | None = None, box: Box | None = None) -> int:
    """An upper bound of the memory that decoding takes at its peak, the pixels that it gives included.

    Args:
        header: of the file.
        spec: as `decode` is given it; with it, `resize` is counted too, as in `preprocess`.
        box: likewise.

    Returns:
        Bytes beyond the file's own.
    """
    divisor = header.divisor(spec, box)
    width, height = reduced(header.width, divisor), reduced(header.height, divisor)
    pixels = width * height
    stored = _STORED.get(header.mode, 4)
    turned = header.orientation != 1
    if header.format == "WEBP" and header.mode == "RGB":
        peak = 6 if turned else 3  # libwebp writes what is returned; only turning copies it.
    elif header.format == "TIFF" and turned:
        peak = max(stored + 3, 2 * stored)  # Pillow turns it.
    else:
        peak = max(stored + 3, 6 if header.format == "JPEG" and turned else 0)
    # A cut is copied once more than the whole picture is: its rows do not follow one another.
    resizing = 0 if spec is None else (3 if box is None else 6) * pixels + resizing_bytes(spec, width, height)
    return _FIXED + header.decoder_bytes + max(peak * pixels, resizing)


def open_image(data: bytes) -> ImageFile:
    """`read_header`, with what decodes the rest, so that the header is read once; raises as it does."""
    with image_errors():
        return _opened(data)


def _opened(data: bytes) -> ImageFile:
    if not data:
        raise UnsupportedImageError("the image is empty (0 bytes)")
    form = signed_format(data)
    if form is None:
        raise UnsupportedImageError("not a JPEG, PNG, WebP, GIF, BMP or TIFF image")
    check_structure(data)
    if is_webp(data):
        webp = read_webp(data)
        check_exif(webp.exif)
        return ImageFile(data, _header_of_webp(webp, data), webp)
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise UnsupportedImageError(
            f"it begins as a {form} file, but its header is damaged or of a kind that is not read; save it anew as PNG"
        ) from None
    return ImageFile(data, _header_of(image, data), image)


def _header_of(image: Image.Image, data: bytes) -> ImageHeader:
    if image.format == "PNG":
        image.info = {**_behind_pixels(data), **image.info}
    orientation = _orientation(image)
    width, height = image.size
    if isinstance(image, TiffImageFile):
        # Its size is that of the upright picture already, if it is not XMP that says how it lies.
        width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
    jpeg = image.format in ("JPEG", "MPO")
    frame = read_jpeg_frame(data) if jpeg else None
    return ImageHeader(
        format="JPEG" if jpeg else str(image.format),
        mode=image.mode,
        width=height if orientation in _SIDEWAYS else width,
        height=width if orientation in _SIDEWAYS else height,
        orientation=orientation,
        reducible=frame is not None and not frame.lossless,
        decoder_bytes=pillow_memory(image, data) if frame is None else jpeg_memory(image, frame),
    )


def _behind_pixels(data: bytes) -> dict[str | tuple[int, int], Any]:
    """EXIF and XMP that a PNG has behind its pixels, which Pillow reads with them."""
    places = list(png_chunks(data))
    first = next((number for number, (kind, _, _) in enumerate(places) if kind == b"IDAT"), len(places))
    texts = [data[start - 8 : start + length + 4] for kind, start, length in places[first:] if kind in _METADATA]
    if not texts:
        return {}
    try:
        with Image.open(io.BytesIO(data[:_PNG_HEADER] + b"".join(texts) + _NO_PIXELS), formats=("PNG",)) as image:
            return image.info
    except Exception:  # Damaged; the pixels need none of it.
        return {}


def _header_of_webp(webp: WebP, data: bytes) -> ImageHeader:
    texts = Image.Image()
    texts.info = {name: text for name, text in (("exif", webp.exif), ("xmp", webp.xmp)) if text}
    orientation = _orientation(texts)
    return ImageHeader(
        format="WEBP",
        mode="RGBA" if webp.alpha else "RGB",
        width=webp.height if orientation in _SIDEWAYS else webp.width,
        height=webp.width if orientation in _SIDEWAYS else webp.height,
        orientation=orientation,
        reducible=False,
        decoder_bytes=webp_memory(webp, data),
    )


def _orientation(image: Image.Image) -> int:
    try:
        # Not `image.getexif()`: that of a PNG decodes the picture first.
        value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # Damaged, as many cameras and editors leave it; the pixels may be whole.
        return 1
    return int(value) if value in range(1, 9) else 1


@contextmanager
def image_errors() -> Iterator[None]:
    """Turn what decoders raise into `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    # Damaged files make decoders raise nearly anything: OSError, SyntaxError, struct.error, IndexError, zlib.error ...
    except Exception as error:
        raise CorruptImageError(f"the image is truncated or damaged ({error})") from error
