"""Image files put together byte by byte: kinds that Pillow reads and does not write."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["ORIENTATION", "bmp", "exif", "jpeg_with", "packed", "png", "png_chunk", "retagged", "tiff", "webp_with"]

ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_SHORT, FLOAT = 1, 2, 3, 4, 5, 7, 8, 11
_STRIPS, _TILES = (273, 279), (324, 325)
Tags = Mapping[int, tuple[int, Sequence[int | float]]]
"""Type and values of each tag."""

_CODES = {BYTE: "B", ASCII: "B", UNDEFINED: "B", SHORT: "H", LONG: "I", RATIONAL: "I", SIGNED_SHORT: "h", FLOAT: "f"}


def packed(values: np.ndarray, bits: int, *, order: str = ">") -> list[bytes]:
    """The rows of an integer array, `bits` a value, each padded to whole bytes."""
    if bits >= 8 and bits != 12:
        return [row.astype(f"{order}u{bits // 8}").tobytes() for row in values.reshape(len(values), -1)]
    places = np.arange(bits - 1, -1, -1)
    rows = values.reshape(len(values), -1)
    return [np.packbits((row[:, None] >> places & 1).astype(np.uint8).ravel()).tobytes() for row in rows]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    values: np.ndarray,
    *,
    bits: int,
    colour: int,
    palette: np.ndarray | None = None,
    transparency: bytes | None = None,
    before: bytes = b"",
    behind: bytes = b"",
    rows: int | None = None,
) -> bytes:
    """A PNG of shape (height, width[, channels]) whose coded data may end after some rows.

    Args:
        values: integers below 2^bits.
        bits: of a sample.
        colour: the type in the header: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        palette: of shape (colours, 3).
        transparency: of the chunk `tRNS`.
        before: chunks in front of the pixels.
        behind: chunks behind them.
        rows: that the coded data has; None has all.
    """
    height, width = values.shape[:2]
    coded = b"".join(b"\0" + row for row in packed(values, bits)[:rows])
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
        + before
        + (b"" if palette is None else png_chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
        + (b"" if transparency is None else png_chunk(b"tRNS", transparency))
        + png_chunk(b"IDAT", zlib.compress(coded))
        + behind
        + png_chunk(b"IEND", b"")
    )


def tiff(
    strips: Sequence[bytes],
    *,
    width: int,
    height: int,
    tags: Tags,
    order: str = "<",
    following: Tags | None = None,
) -> bytes:
    """A TIFF whose directory stands before its strips, or tiles where the tags give their size.

    Args:
        strips: their content.
        width: of the picture.
        height: likewise.
        tags: further ones.
        order: `<` or `>`.
        following: a second directory, without pixels.
    """
    filled = {256: (SHORT, [width]), 257: (SHORT, [height]), 259: (SHORT, [1]), **tags}
    places, sizes = _TILES if 322 in tags else _STRIPS
    if 322 not in tags:
        filled.setdefault(278, (SHORT, [height]))
    lengths = [len(strip) for strip in strips]
    begin = len(_directory({**filled, places: (LONG, lengths), sizes: (LONG, lengths)}, 8, order))
    second = begin + 8
    if following is not None:
        begin += len(_directory(following, second, order))
    offsets = (8 + begin + np.cumsum([0, *lengths])[:-1]).tolist()
    first = _directory(
        {**filled, places: (LONG, offsets), sizes: (LONG, lengths)}, 8, order, 0 if following is None else second
    )
    after = b"" if following is None else _directory(following, second, order)
    return _magic(order) + struct.pack(order + "I", 8) + first + after + b"".join(strips)


def retagged(data: bytes, added: Tags, *, recoded: Callable[[bytes], bytes] = bytes, **options: Any) -> bytes:
    """A TIFF's strips behind a directory of ours, so that the file can be cut off within its pixels.

    Args:
        data: the file.
        added: tags that it gets; of its own it keeps those of integers and bytes.
        recoded: what becomes of each strip.
        options: of `tiff`.
    """
    with Image.open(io.BytesIO(data)) as image:
        own, kinds = dict(image.tag_v2), image.tag_v2.tagtype
    places, sizes = _TILES if 322 in own else _STRIPS
    parts = zip(own.pop(places), own.pop(sizes), strict=True)
    strips = [recoded(data[start : start + length]) for start, length in parts]
    kept = {
        tag: (kinds[tag], value if isinstance(value, tuple | bytes) else [value])
        for tag, value in own.items()
        if kinds[tag] in (BYTE, SHORT, LONG, UNDEFINED)
    }
    order = "<" if data.startswith(b"II") else ">"
    return tiff(strips, width=own[256], height=own[257], tags={**kept, **added}, order=order, **options)


def exif(
    value: int | bytes | Sequence[float], kind: int = SHORT, *, order: str = "<", following: int | None = None
) -> bytes:
    """EXIF data, without its prefix, whose first directory has an orientation and no other tag."""
    values = list(value) if isinstance(value, bytes | tuple | list) else [value]
    first = _directory({ORIENTATION: (kind, values)}, 8, order)
    after = b""
    if following is not None:
        first = _directory({ORIENTATION: (kind, values)}, 8, order, 8 + len(first))
        after = _directory({ORIENTATION: (SHORT, [following])}, 8 + len(first), order)
    return _magic(order) + struct.pack(order + "I", 8) + first + after


def bmp(
    rows: Sequence[bytes], *, width: int, height: int, bits: int, masks: Sequence[int] = (), palette: bytes = b""
) -> bytes:
    """A BMP whose rows are given from the top; a palette of three bytes a colour makes it one of OS/2."""
    if palette and len(palette) == 3 << bits:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        alpha = len(masks) == 4
        size, kind = 108 if alpha else 40, 3 if masks else 0
        head = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, kind, 0, 2835, 2835, 0, 0)
        head += struct.pack(f"<{len(masks)}I", *masks) + bytes(52 if alpha else 0)
    start = 14 + len(head) + len(palette)
    pixels = b"".join(row + bytes(-len(row) % 4) for row in reversed(rows))
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + palette + pixels


def jpeg_with(data: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments of application data (APP1) in front of the others."""
    added = b"".join(b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content for content in segments)
    return data[:2] + added + data[2:]


def webp_with(data: bytes, width: int, height: int, *, exif: bytes = b"", xmp: bytes = b"") -> bytes:
    """A plain WebP file, extended by metadata."""
    flags = (8 if exif else 0) | (4 if xmp else 0)
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    content = b"WEBP" + _riff(b"VP8X", bytes([flags, 0, 0, 0]) + sides) + data[12:]
    content += (_riff(b"EXIF", exif) if exif else b"") + (_riff(b"XMP ", xmp) if xmp else b"")
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _magic(order: str) -> bytes:
    return b"II*\0" if order == "<" else b"MM\0*"


def _directory(tags: Tags, place: int, order: str, following: int = 0) -> bytes:
    """A directory that begins at `place`, and behind it the values that do not fit into four bytes."""
    entries, values = b"", b""
    end = place + 2 + 12 * len(tags) + 4
    for tag, (kind, given) in sorted(tags.items()):
        content = b"".join(struct.pack(order + _CODES[kind], value) for value in given)
        count = len(given) // 2 if kind == RATIONAL else len(given)
        if len(content) > 4:
            field = struct.pack(order + "I", end + len(values))
            values += content + bytes(len(content) % 2)
        else:
            field = content.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kind, count) + field
    return struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", following) + values
