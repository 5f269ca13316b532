"""Small files that are costly to read: what an attacker would send."""

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

__all__ = ["BOMBS", "lossless_webp"]

_MIB = 1024 * 1024


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, *, bits: int, colour: int, more: bytes = b"", rows: int | None = None) -> bytes:
    """A PNG of zeros that announces `height` rows and has `rows`."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * bits * channels + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height if rows is None else rows)) + packer.flush()
    head = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    palette = _png_chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + head + palette + more + _png_chunk(b"IDAT", packed) + _png_chunk(b"IEND", b"")


def _jpeg(width: int = 64, height: int = 64, *, progressive: bool = False) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 30)).save(buffer, "JPEG", progressive=progressive)
    return buffer.getvalue()


def _jpeg_with(segment: bytes, size: int) -> bytes:
    """A JPEG of about `size` bytes, full of one segment."""
    plain = _jpeg()
    return plain[:2] + segment * (size // len(segment)) + plain[2:]


def _scans() -> bytes:
    """A progressive JPEG of 36 megapixels whose last scan comes again and again."""
    plain = _jpeg(6000, 6000, progressive=True)
    last = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[last:-2] * (4 * _MIB // (len(plain) - 2 - last)) + plain[-2:]


def _gif_comments() -> bytes:
    buffer = io.BytesIO()
    Image.new("P", (64, 64)).save(buffer, "GIF")
    plain = buffer.getvalue()
    start = 13 + (3 << (plain[10] & 7) + 1)
    return plain[:start] + b"!\xfe" + b"\x01x" * (8 * _MIB) + b"\0" + plain[start:]


def _gif_frames() -> bytes:
    """A small screen whose first frame is 65,535 pixels wide and high."""
    return (
        b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6)
        + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00;"
    )  # fmt: skip


def _tiff(entries: list[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + data


def _tiff_head(width: int, height: int) -> list[tuple[int, int, int, int]]:
    return [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]


def _tiff_tags() -> bytes:
    """Sixty thousand tags, each of which names the same 8 MiB."""
    entries = [*_tiff_head(8, 8), (273, 4, 1, 8), (278, 4, 1, 8), (279, 4, 1, 64)]
    return _tiff(entries + [(1000 + n, 7, 8 * _MIB, 16) for n in range(60_000)], bytes(8 * _MIB))


def _tiff_tile() -> bytes:
    """A picture of 8 x 8 pixels in one tile of 30,000 x 30,000."""
    entries = [*_tiff_head(8, 8), (322, 4, 1, 30_000), (323, 4, 1, 30_000), (324, 4, 1, 200), (325, 4, 1, 200)]
    entries = [entry if entry[0] != 259 else (259, 3, 1, 8) for entry in entries]
    return _tiff(entries, zlib.compress(bytes(900_000)))


def _tiff_strips() -> bytes:
    """A picture of 8 x 8 pixels that names four million strips."""
    count = 4 * _MIB
    return _tiff([*_tiff_head(8, 8), (273, 4, count, 122), (278, 4, 1, 1), (279, 4, 1, 8)], bytes(4 * count))


def _exif_tags() -> bytes:
    """A JPEG whose EXIF names the same 60 KB five thousand times."""
    exif = b"Exif\0\0" + _tiff([(1000 + n, 7, 60_000, 16) for n in range(5_000)], bytes(10))
    exif += bytes(65_000 - len(exif))
    return _jpeg_with(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif, 66_000)


def _webp_frames() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (4000, 4000), (n, 9, 9)) for n in range(6)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return buffer.getvalue()


def lossless_webp(side: int, tables: list[int]) -> bytes:
    """A black lossless WebP of `side` x `side` pixels whose blocks of 4 x 4 name these sets of Huffman tables in turn.

    Each set is of five codes of one symbol, 20 bits in the file and 5 KB in libwebp's memory.
    """
    blocks = [tables[number % len(tables)] for number in range((side // 4) ** 2)]
    one_symbol = "1000"
    # 256 symbols of 8 bits: a code of lengths that knows the length 8 alone, and how many symbols follow.
    all_symbols = "0" + _bits(8, 4) + "000" * 11 + _bits(1, 3) + "1" + _bits(3, 3) + _bits(254, 8)
    head = _bits(0x2F, 8) + 2 * _bits(side - 1, 14) + "0" + "000"
    flags = "0" + "0" + "1" + "000"  # no transform, no cache of colours, several sets of tables, blocks of 4 x 4
    chosen = "0" + 2 * all_symbols + 3 * one_symbol
    chosen += "".join(f"{table & 255:08b}{table >> 8:08b}" for table in blocks)
    bits = head + flags + chosen + 5 * one_symbol * (max(tables) + 1)
    coded = int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")
    chunk = b"VP8L" + struct.pack("<I", len(coded)) + coded + bytes(len(coded) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _bits(value: int, count: int) -> str:
    return f"{value:0{count}b}"[::-1]


BOMBS: dict[str, Callable[[], bytes]] = {
    "png 60,000 x 60,000": lambda: _png(60_000, 60_000, bits=8, colour=2, rows=1),
    "png 8,000 x 8,000 of zeros": lambda: _png(8_000, 8_000, bits=8, colour=6),
    "png 8,000 x 8,000, 16 bit grey": lambda: _png(8_000, 8_000, bits=16, colour=0),
    "png 8,000 x 8,000, 16 bit RGBA": lambda: _png(8_000, 8_000, bits=16, colour=6),
    "png 1 x 4,000,000": lambda: _png(1, 4_000_000, bits=1, colour=0),
    "png 60,000,000 x 1": lambda: _png(60_000_000, 1, bits=1, colour=0),
    "png, a million chunks": lambda: _png(64, 64, bits=8, colour=2, more=_png_chunk(b"tIME", b"") * 1_000_000),
    "png, text that inflates to 300 MB": lambda: _png(
        64, 64, bits=8, colour=2, more=_png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(300_000_000), 9))
    ),
    "png, profile that inflates to 300 MB": lambda: _png(
        64, 64, bits=8, colour=2, more=_png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(300_000_000), 9))
    ),
    "jpeg, four million empty segments": lambda: _jpeg_with(b"\xff\xfe\x00\x02", 16 * _MIB),
    "jpeg, a million EXIF segments": lambda: _jpeg_with(b"\xff\xe1\x00\x09Exif\0\0x", 11 * _MIB),
    "jpeg, 16 MiB of junk between segments": lambda: _jpeg_with(b"x", 16 * _MIB),
    "jpeg, EXIF that names itself": _exif_tags,
    "jpeg, thousands of scans": _scans,
    "gif, eight million comments": _gif_comments,
    "gif, frame larger than the screen": _gif_frames,
    "tiff, sixty thousand tags": _tiff_tags,
    "tiff, tile larger than the picture": _tiff_tile,
    "tiff, four million strips": _tiff_strips,
    "webp, 65,536 sets of Huffman tables": lambda: lossless_webp(1024, list(range(65_536))),
    "webp, six frames of 16 megapixels": _webp_frames,
}
"""Names, and what makes the files; each is under 20 MiB."""
