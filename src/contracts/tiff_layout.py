"""What a TIFF's directory says of its pixels: refused are those that Pillow would turn into other pixels in silence."""

from collections.abc import Mapping

from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    FILLORDER,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    TILEBYTECOUNTS,
    TILELENGTH,
    TILEOFFSETS,
    TILEWIDTH,
    YCBCRSUBSAMPLING,
    TiffImageFile,
)

from src.contracts.image_errors import CorruptImageError, ImageTooLargeError, UnsupportedImageError
from src.contracts.image_structure import MAX_SCANNED_PIXELS

__all__ = ["check_tiff"]

_SIGNED = 2
_YCBCR = 6
_END_OF_JPEG = b"\xff\xd9"
_ADVICE = "save it with 8 bits a channel, or as PNG"


def check_tiff(image: TiffImageFile, data: bytes, max_pixels: int) -> None:
    """Refuse a TIFF before a pixel is decoded.

    Args:
        image: the opened file.
        data: the file.
        max_pixels: that a tile may have.

    Raises:
        ImageTooLargeError: tiles that are too large, or JPEG data that may take too many passes.
        UnsupportedImageError: a layout that Pillow misreads.
        CorruptImageError: strips or tiles that are missing or shorter than the pixels that they should hold.
    """
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
    _check_layout(image)
    _check_parts(image, data)


def _check_layout(image: TiffImageFile) -> None:
    tags, raw, bits = image.tag_v2, image.info.get("compression") == "raw", _bits(image)
    if _SIGNED in tags.get(SAMPLEFORMAT, ()) and max(bits) < 32:
        raise UnsupportedImageError(f"a TIFF of signed integers of {max(bits)} bits; {_ADVICE}")
    if image.mode in ("F", "I") and not raw and tags.prefix == b"MM":
        raise UnsupportedImageError(f"a TIFF of compressed big-endian values of {max(bits)} bits; {_ADVICE}")
    if tags.get(PLANAR_CONFIGURATION, 1) == 2 and _misreads_planes(image, bits, raw):
        raise UnsupportedImageError(
            f"a TIFF whose planes are stored apart, of mode {image.mode} and {max(bits)} bits; {_ADVICE}"
        )
    subsampling = tags.get(YCBCRSUBSAMPLING, (1, 1))
    if raw and tags.get(PHOTOMETRIC_INTERPRETATION) == _YCBCR and tuple(subsampling) != (1, 1):
        raise UnsupportedImageError(f"a TIFF of subsampled colours without compression; {_ADVICE}")


def _misreads_planes(image: TiffImageFile, bits: tuple[int, ...], raw: bool) -> bool:
    """Uncompressed, Pillow takes a plane for 8 bits from the left, the more the brighter."""
    turned = image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0 or image.tag_v2.get(FILLORDER) == 2
    several = len(bits) > 1 and image.mode not in ("RGB", "RGBA", "CMYK")
    return several or (raw and (max(bits) != 8 or turned))


def _check_parts(image: TiffImageFile, data: bytes) -> None:
    """Pillow reads past the end of an uncompressed strip, and libtiff fills what JPEG and fax data lack."""
    tags, compression = image.tag_v2, image.info.get("compression")
    tiled = TILEOFFSETS in tags
    offsets = tags.get(TILEOFFSETS if tiled else STRIPOFFSETS, ())
    ends = {
        offset: offset + length
        for offset, length in zip(offsets, tags.get(TILEBYTECOUNTS if tiled else STRIPBYTECOUNTS, ()), strict=False)
    }
    if compression == "raw":
        _check_raw(image, ends, len(data))
    elif any(end > len(data) for end in ends.values()):
        raise _damaged(f"its pixels end behind its {len(data):,} bytes")
    elif compression == "jpeg" and not all(_END_OF_JPEG in data[max(0, end - 16) : end] for end in ends.values()):
        raise _damaged("JPEG data without an end")


def _check_raw(image: TiffImageFile, ends: Mapping[int, int], length: int) -> None:
    apart = image.tag_v2.get(PLANAR_CONFIGURATION, 1) == 2
    planes = len(image.getbands()) if apart else 1
    bits = _bits(image)
    covered = 0
    for part in image.tile:
        left, top, right, bottom = part.extents or (0, 0, 0, 0)
        line = ((right - left) * (bits[0] if apart else sum(bits)) + 7) // 8
        if part.offset + line * (bottom - top) > min(length, ends.get(part.offset, length)):
            raise _damaged(f"a strip or tile is shorter than its {line * (bottom - top):,} bytes")
        covered += (right - left) * (bottom - top)
    if covered < image.width * image.height * planes:
        raise _damaged("strips or tiles are missing")


def _bits(image: TiffImageFile) -> tuple[int, ...]:
    """Of each sample; one number may stand for all."""
    bits: tuple[int, ...] = image.tag_v2.get(BITSPERSAMPLE, (1,))
    samples = image.tag_v2.get(SAMPLESPERPIXEL, 1)
    return bits * samples if len(bits) == 1 else bits[:samples]


def _damaged(what: str) -> CorruptImageError:
    return CorruptImageError(f"the image is truncated or damaged ({what})")
