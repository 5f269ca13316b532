"""Files whose structure costs more than their pixels: refused before any decoder sees them.

The number of pixels bounds a decoder's memory, not its time. A progressive JPEG may pass over all its pixels for every
few bytes of the file, and Pillow reads what stands before the pixels (segments, chunks, comments, tags) in Python, some
of it in time that grows with its square: 20 MB of either can take minutes.
"""

import re
import struct

from src.contracts.image_errors import CorruptImageError, ImageTooLargeError

__all__ = ["MAX_SCANNED_PIXELS", "check_exif", "check_structure"]

MAX_SCANNED_PIXELS = 1_000_000_000
"""Pixels of a JPEG times the passes over them: 15 at 64 megapixels; encoders make 10 or fewer."""

_MAX_SCANS = 100
_MAX_SEGMENTS = 2_048
_MAX_CHUNKS = 16_384
_MAX_TAGS = 1_024
_MAX_STRIPS = 131_072
_MAX_EXIF_SEGMENTS = 64
_MAX_JUNK = 65_536
# In coded data FF is followed by 00 or a restart marker; any other marker ends the scan.
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
_OFFSETS = {273: "strips", 324: "tiles"}


def check_structure(data: bytes) -> None:
    """Refuse a JPEG, PNG, GIF or TIFF file that would take its reader too long; look at no pixel.

    What is damaged in other ways passes: the decoder says so better.

    Args:
        data: the whole file.

    Raises:
        ImageTooLargeError: a JPEG of too many passes over too many pixels.
        CorruptImageError: more segments, chunks, blocks or tags than a picture has use for.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            _check_jpeg(data)
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            _check_png(data)
        elif data.startswith((b"GIF87a", b"GIF89a")):
            _check_gif(data)
        elif data.startswith((b"II", b"MM")):
            _check_tags(data)
    except (struct.error, IndexError):
        return  # It ends before its structure does.


def _check_jpeg(data: bytes) -> None:
    place, segments, scans, junk, pixels, components = 2, 0, 0, 0, 0, 0
    sequential = False
    exif: list[bytes] = []
    while True:
        found = data.find(b"\xff", place)
        if found < 0:
            return
        junk += found - place
        marker, place = data[found + 1], found + 2
        if marker in (0x00, 0xFF):
            junk, place = junk + 1, found + 1 + (marker == 0)
        elif marker == 0xD9:
            return
        elif marker not in _STANDALONE:
            segments += 1
            end = place + struct.unpack_from(">H", data, place)[0]
            if marker in _FRAMES:
                height, width, components = struct.unpack_from(">HHB", data, place + 3)
                pixels = max(pixels, width * height)
                sequential = marker in _SEQUENTIAL
            elif marker == 0xE1 and data.startswith(b"Exif\0\0", place + 2):
                exif.append(data[place + (8 if exif else 2) : end])
            elif marker == 0xDA:
                if not scans:
                    check_exif(b"".join(exif))
                if sequential and data[place + 2] == components:
                    return  # One scan has it all: decoders read no further.
                scans += 1
                _check_scans(scans, pixels)
                following = _END_OF_SCAN.search(data, end)
                if not following:
                    return
                end = following.start()
            place = end
        if segments > _MAX_SEGMENTS:
            raise CorruptImageError(f"over {_MAX_SEGMENTS:,} segments stand in this JPEG")
        if junk > _MAX_JUNK:
            raise CorruptImageError(f"over {_MAX_JUNK:,} bytes of this JPEG belong to no segment")
        if len(exif) > _MAX_EXIF_SEGMENTS:
            raise CorruptImageError(f"over {_MAX_EXIF_SEGMENTS} segments of EXIF stand in this JPEG")


def _check_scans(scans: int, pixels: int) -> None:
    if scans > _MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageTooLargeError(
            f"a JPEG of {pixels:,} pixels in {scans} scans or more; at most {_MAX_SCANS} scans are read, and "
            f"{MAX_SCANNED_PIXELS:,} pixels over all of them: save it anew"
        )


def _check_png(data: bytes) -> None:
    place = 8
    for _ in range(_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"eXIf":
            check_exif(data[place + 8 : place + 8 + length])
        if kind == b"IEND":
            return
        place += 12 + length
    raise CorruptImageError(f"over {_MAX_CHUNKS:,} chunks stand in this PNG")


def _check_gif(data: bytes) -> None:
    """Up to the first frame: no other is read."""
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    blocks = 0
    while data[place] not in b",;":
        extension = data[place] == 0x21
        place += 2 if extension else 1
        blocks += 1
        while extension and data[place]:
            place += 1 + data[place]
            blocks += 1
            if blocks > _MAX_CHUNKS:
                break
        place += extension
        if blocks > _MAX_CHUNKS:
            raise CorruptImageError(f"over {_MAX_CHUNKS:,} blocks stand before this GIF's first frame")


def check_exif(exif: bytes) -> None:
    """Refuse EXIF data of more tags than a picture has use for.

    Args:
        exif: empty, or from `Exif` or the byte order on.

    Raises:
        CorruptImageError: too many tags.
    """
    try:
        _check_tags(exif.removeprefix(b"Exif\0\0"))
    except (struct.error, IndexError):
        return


def _check_tags(data: bytes) -> None:
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    offset = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    if offset > len(data):
        return
    tags = struct.unpack_from(order + ("Q" if big else "H"), data, offset)[0]
    if tags > _MAX_TAGS:
        raise CorruptImageError(f"{tags:,} tags in one directory; pictures have fewer than {_MAX_TAGS:,}")
    for number in range(tags):
        place = offset + (8 + 20 * number if big else 2 + 12 * number)
        tag, _, values = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, place)
        if tag in _OFFSETS and values > _MAX_STRIPS:
            raise CorruptImageError(f"{values:,} {_OFFSETS[tag]} in this TIFF; at most {_MAX_STRIPS:,} are read")
