"""What the segments before a JPEG's first scan say of how it is coded."""

import struct
from dataclasses import dataclass

__all__ = ["JpegFrame", "read_jpeg_frame"]

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_STANDALONE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})


@dataclass(frozen=True, kw_only=True)
class JpegFrame:
    """How a JPEG is coded.

    Attributes:
        lossless: it has no blocks of coefficients, and cannot be decoded at a smaller scale.
        several_scans: a decoder holds all its coefficients until the last scan: it is progressive, or each of its
            components has a scan of its own.
        scan: where the first scan begins, in bytes.
    """

    lossless: bool
    several_scans: bool
    scan: int


def read_jpeg_frame(data: bytes) -> JpegFrame:
    """Read the segments up to the first scan; raises `struct.error` or `IndexError` where they are cut off."""
    place, marker_of_frame, components = 2, 0xC0, 0
    while True:
        place = data.find(b"\xff", place)
        if place < 0:
            raise IndexError("no scan")
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _STANDALONE:
            place += 2
        else:
            if marker in _FRAMES:
                marker_of_frame, components = marker, data[place + 9]
            elif marker == 0xDA:
                return JpegFrame(
                    lossless=marker_of_frame in _LOSSLESS,
                    several_scans=marker_of_frame not in _SEQUENTIAL or data[place + 4] < components,
                    scan=place,
                )
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
