"""WebP files, read by libwebp's own functions.

Pillow reads every WebP as an animation: two canvases and two copies of one, 16 bytes a pixel. Its module is linked with
libwebp, whose decoder writes to where the pixels are wanted: 3 bytes a pixel, and 4 more while a lossless file is read.
"""

import ctypes
import functools
import struct
from dataclasses import dataclass

import numpy as np

from src.contracts.image_errors import CorruptImageError

__all__ = ["WebP", "decode_webp", "has_libwebp", "is_webp", "read_webp"]

_MAX_CHUNKS = 16_384
_ANIMATION, _XMP, _EXIF, _ALPHA = 0x02, 0x04, 0x08, 0x10


@dataclass(frozen=True, kw_only=True)
class WebP:
    """What a WebP file is, and where its first frame stands.

    Attributes:
        width: of the picture, in pixels.
        height: likewise.
        alpha: whether it may be transparent.
        lossless: how the first frame is coded.
        frame: left edge, upper edge, width and height of the first frame, in pixels; it may be a part of the picture.
        bitstream: where libwebp begins to read, and where it ends.
        entropy_coded: where the pixels of a lossless frame, or the alpha of another, are coded; None where neither is.
        exif: empty if there is none.
        xmp: likewise.
    """

    width: int
    height: int
    alpha: bool
    lossless: bool
    frame: tuple[int, int, int, int]
    bitstream: slice
    entropy_coded: slice | None
    exif: bytes = b""
    xmp: bytes = b""


def is_webp(data: bytes) -> bool:
    """Whether the bytes begin as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and data[12:16] in (b"VP8 ", b"VP8L", b"VP8X")


def read_webp(data: bytes) -> WebP:
    """Read what stands before and behind the pixels; raises `CorruptImageError` where that is damaged."""
    try:
        if len(data) < 8 + _size(data, 0):
            raise CorruptImageError(
                f"the image is truncated or damaged ({len(data):,} of {8 + _size(data, 0):,} bytes)"
            )
        return _extended(data) if data[12:16] == b"VP8X" else _simple(data)
    except (struct.error, IndexError):
        raise CorruptImageError("the image is truncated or damaged (a WebP that ends before its header)") from None


@functools.cache
def has_libwebp() -> bool:
    """Whether libwebp's functions can be called: not where Pillow's module has libwebp inside, as on Windows."""
    try:
        return bool(_libwebp())
    except (ImportError, OSError, AttributeError):
        return False


def decode_webp(data: bytes, webp: WebP) -> np.ndarray:
    """The first frame's pixels.

    Args:
        data: the file.
        webp: what `read_webp` made of it.

    Returns:
        uint8 array of shape (height, width, 3) of the frame, with alpha (height, width, 4).

    Raises:
        CorruptImageError: truncated or damaged.
    """
    coded = np.frombuffer(data, np.uint8)[webp.bitstream]
    _, _, width, height = webp.frame
    pixels = np.empty((height, width, 4 if webp.alpha else 3), np.uint8)
    decode = _libwebp().WebPDecodeRGBAInto if webp.alpha else _libwebp().WebPDecodeRGBInto
    if not decode(coded.ctypes.data, coded.size, pixels.ctypes.data, pixels.nbytes, pixels.strides[0]):
        raise CorruptImageError("the image is truncated or damaged (libwebp cannot decode it)")
    return pixels


@functools.cache
def _libwebp() -> ctypes.CDLL:
    from PIL import _webp

    # Symbols are looked up in what the module is linked with, too.
    library = ctypes.CDLL(_webp.__file__)
    for function in (library.WebPDecodeRGBInto, library.WebPDecodeRGBAInto):
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        function.restype = ctypes.c_void_p
    return library


def _simple(data: bytes) -> WebP:
    width, height, lossless, alpha = _frame_header(data, 12)
    frame = (0, 0, width, height)
    return WebP(
        width=width,
        height=height,
        alpha=alpha,
        lossless=lossless,
        frame=frame,
        bitstream=slice(None),
        entropy_coded=_entropy_coded(data, {data[12:16]: 12}),
    )


def _extended(data: bytes) -> WebP:
    flags = data[20]
    width, height = _number(data, 24) + 1, _number(data, 27) + 1
    chunks = _first_chunks(data, 12, len(data))
    left = top = 0
    bitstream = slice(None)
    if flags & _ANIMATION:
        place = _first(chunks, b"ANMF")
        left, top = 2 * _number(data, place + 8), 2 * _number(data, place + 11)
        bitstream = slice(place + 24, place + 8 + _size(data, place))
        parts = _first_chunks(data, bitstream.start, bitstream.stop)
    else:
        parts = chunks
    place = _first(parts, b"VP8 ", b"VP8L")
    frame_width, frame_height, lossless, _ = _frame_header(data, place)
    if left + frame_width > width or top + frame_height > height:
        raise CorruptImageError("the image is truncated or damaged (a WebP frame larger than its picture)")
    texts = {}
    for name, kind, flag in (("exif", b"EXIF", _EXIF), ("xmp", b"XMP ", _XMP)):
        if flags & flag and kind in chunks:
            texts[name] = data[chunks[kind] + 8 : chunks[kind] + 8 + _size(data, chunks[kind])]
    return WebP(
        width=width,
        height=height,
        alpha=bool(flags & _ALPHA),
        lossless=lossless,
        frame=(left, top, frame_width, frame_height),
        bitstream=bitstream,
        entropy_coded=_entropy_coded(data, parts),
        **texts,
    )


def _first_chunks(data: bytes, place: int, end: int) -> dict[bytes, int]:
    """Where the first chunk of each kind begins."""
    found: dict[bytes, int] = {}
    for _ in range(_MAX_CHUNKS):
        if place + 8 > end:
            return found
        found.setdefault(data[place : place + 4], place)
        place += 8 + _size(data, place) + _size(data, place) % 2
    raise CorruptImageError(f"over {_MAX_CHUNKS:,} chunks stand in this WebP")


def _first(chunks: dict[bytes, int], *kinds: bytes) -> int:
    found = [chunks[kind] for kind in kinds if kind in chunks]
    if not found:
        raise CorruptImageError("the image is truncated or damaged (a WebP without a frame)")
    return min(found)


def _entropy_coded(data: bytes, chunks: dict[bytes, int]) -> slice | None:
    """Behind the five bytes before a lossless frame, or the one before alpha, whose lowest bits say how it is coded."""
    for kind, header in ((b"VP8L", 5), (b"ALPH", 1)):
        place = chunks.get(kind)
        if place is not None and (kind == b"VP8L" or data[place + 8] & 3):
            return slice(place + 8 + header, place + 8 + _size(data, place))
    return None


def _size(data: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", data, place + 4)[0])


def _number(data: bytes, place: int) -> int:
    """An integer of three bytes."""
    return int(struct.unpack_from("<I", data[place : place + 3] + b"\0")[0])


def _frame_header(data: bytes, place: int) -> tuple[int, int, bool, bool]:
    """Width, height, whether it is lossless, and whether it has alpha, of the chunk that begins there."""
    if data[place : place + 4] == b"VP8L":
        signature, bits = struct.unpack_from("<BI", data, place + 8)
        if signature == 0x2F:
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, True, bool(bits >> 28 & 1)
    elif data[place + 11 : place + 14] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, place + 14)
        return width & 0x3FFF, height & 0x3FFF, False, False
    raise CorruptImageError("the image is truncated or damaged (a WebP frame of no known kind)")
