"""The chunks of a PNG file."""

import struct
from collections.abc import Iterator

__all__ = ["png_chunks"]


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind, where its content begins and how many bytes it says to have; up to IEND or the file's end."""
    place = 8
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, place + 8, length
        if kind == b"IEND":
            return
        place += 12 + length
