"""PNG pixels that Pillow leaves black where they are missing, and transparent colours that it does not find."""

import zlib

from PIL import Image

from src.contracts.image_errors import CorruptImageError
from src.contracts.png_chunks import png_chunks

__all__ = ["check_png_pixels", "eight_bit_transparency"]

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced picture: first column and row, and the steps between them."""

_PIECE = 1 << 20


def check_png_pixels(image: Image.Image, data: bytes) -> None:
    """Refuse a PNG whose coded data ends before its pixels do.

    Pillow fills the rest with zeros. Only where the last row has no other value, the data is inflated and measured.

    Args:
        image: the file, loaded.
        data: the file.

    Raises:
        CorruptImageError: pixels are missing.
    """
    width, height = image.size
    interlaced = data[28] == 1
    if not interlaced and image.crop((0, height - 1, width, height)).getbbox(alpha_only=False):
        return
    bits = data[24] * _CHANNELS[data[25]]
    wanted = sum(
        -(-(height - top) // down) * (1 + (-(-(width - left) // across) * bits + 7) // 8)
        for left, top, across, down in (_PASSES if interlaced else ((0, 0, 1, 1),))
        if left < width and top < height
    )
    held = _inflated(data, wanted)
    if held < wanted:
        raise CorruptImageError(
            f"the image is truncated or damaged (its pixels end after {held:,} of {wanted:,} bytes)"
        )


def eight_bit_transparency(image: Image.Image, data: bytes) -> None:
    """Scale the transparent colour of a loaded PNG as Pillow has scaled its pixels.

    Of 16-bit colours the upper 8 bits count, as they do for the pixels.
    """
    bits, hidden = data[24], image.info.get("transparency")
    if image.mode == "L" and bits in (2, 4) and isinstance(hidden, int):
        image.info["transparency"] = hidden * (255 // ((1 << bits) - 1))
    elif image.mode == "RGB" and bits == 16 and isinstance(hidden, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in hidden)


def _inflated(data: bytes, most: int) -> int:
    """Bytes that the pixels' chunks hold, counted up to `most`."""
    inflater, count = zlib.decompressobj(), 0
    for kind, start, length in png_chunks(data):
        rest = data[start : start + length] if kind == b"IDAT" else b""
        while rest and count < most:
            count += len(inflater.decompress(rest, _PIECE))
            rest = inflater.unconsumed_tail
    return count
