"""Image files, damaged in every way that a file can be: the same ones for the same seed."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import Image

__all__ = ["mutations", "seeds"]

_SVG = (
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)' width='9' height='9'><image href='/etc/passwd'/></svg>"
)
_SCRIPT = b"<script>alert(document.domain)</script>"


@cache
def seeds() -> dict[str, bytes]:
    """One sound file of every kind, by its name."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((48, 40))
    grey = Image.fromarray(rng.integers(0, 65536, (40, 48), dtype=np.uint16))
    alpha = Image.merge("RGBA", (*image.split(), image.convert("L")))
    others = [image.rotate(angle) for angle in (90, 180)]
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = bytes(range(256)) * 3
    made: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (image, "JPEG", {"exif": exif, "icc_profile": profile}),
        "jpeg progressive": (image, "JPEG", {"progressive": True}),
        "jpeg grey": (image.convert("L"), "JPEG", {}),
        "jpeg cmyk": (image.convert("CMYK"), "JPEG", {}),
        "png": (image, "PNG", {"exif": exif, "icc_profile": profile}),
        "png alpha": (alpha, "PNG", {}),
        "png palette": (image.quantize(16), "PNG", {"transparency": 3}),
        "png 16 bit": (grey, "PNG", {}),
        "png 1 bit": (image.convert("1"), "PNG", {}),
        "png animated": (image, "PNG", {"save_all": True, "append_images": others}),
        "webp": (image, "WEBP", {"exif": exif}),
        "webp lossless": (alpha, "WEBP", {"lossless": True}),
        "webp animated": (image, "WEBP", {"save_all": True, "append_images": others}),
        "gif": (image, "GIF", {}),
        "gif animated": (image, "GIF", {"save_all": True, "append_images": others}),
        "bmp": (image, "BMP", {}),
        "tiff": (image, "TIFF", {}),
        "tiff lzw": (alpha, "TIFF", {"compression": "tiff_lzw"}),
        "tiff deflate": (grey, "TIFF", {"compression": "tiff_deflate"}),
        "tiff jpeg": (image, "TIFF", {"compression": "jpeg"}),
        "tiff float": (Image.fromarray(rng.random((40, 48), dtype=np.float32)), "TIFF", {}),
    }
    files = {}
    for name, (picture, form, options) in made.items():
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        files[name] = buffer.getvalue()
    return files


def mutations(count: int, *, seed: int = 0) -> Iterator[tuple[str, str, bytes]]:
    """Damaged files.

    Args:
        count: how many.
        seed: other files for another one.

    Yields:
        The sound file's name, what was done to it, and the bytes.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    sound = seeds()
    names, ways = list(sound), list(_WAYS)
    for number in range(count):
        name, way = names[number % len(names)], ways[rng.randrange(len(ways))]
        data = _WAYS[way](sound[name], rng)
        if way == "splice":
            other = sound[rng.choice(names)]
            data = data[: rng.randrange(1, len(data))] + other[rng.randrange(len(other)) :]
        yield name, way, data


def _bits(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _head_bits(data: bytes, rng: random.Random) -> bytes:
    """Most of what can go wrong stands in the first bytes."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(min(len(data), 120))] = rng.randrange(256)
    return bytes(damaged)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _removed(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.randint(1, 64) :]


def _repeated(data: bytes, rng: random.Random) -> bytes:
    place, length = rng.randrange(len(data)), rng.randint(1, 64)
    return data[:place] + data[place : place + length] * rng.randint(2, 200) + data[place:]


def _overwritten(data: bytes, rng: random.Random) -> bytes:
    place, length = rng.randrange(len(data)), rng.randint(1, 64)
    fill = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])
    return data[:place] + fill + data[place + length :]


def _sizes(data: bytes, rng: random.Random) -> bytes:
    """Another width and height in the header, with the checksum that belongs to it."""
    width, height = (rng.choice([0, 1, 7, 1000, 8000, 32768, 65535, 2**31 - 1, 2**32 - 1]) for _ in range(2))
    short = struct.pack(">HH", height % 65536, width % 65536)
    damaged = bytearray(data)
    if data.startswith(b"\x89PNG"):
        damaged[16:24] = struct.pack(">II", width, height)
        damaged[29:33] = struct.pack(">I", zlib.crc32(damaged[12:29]))
    elif data.startswith(b"\xff\xd8"):
        place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
        damaged[place : place + 4] = short
    elif data.startswith(b"GIF"):
        damaged[6:10] = short
    elif data.startswith(b"BM"):
        damaged[18:26] = struct.pack("<II", width, height)
    elif data.startswith(b"RIFF"):
        damaged[24:30] = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
    else:
        for tag, value in ((256, width), (257, height), (278, height), (322, width), (323, height)):
            place = data.find(struct.pack("<H", tag), 8)
            if place > 0:
                damaged[place + 8 : place + 12] = struct.pack("<I", value)
    return bytes(damaged)


def _checked_chunk(data: bytes, rng: random.Random) -> bytes:
    """A PNG chunk with other bytes and the right checksum; a bit flipped in other files."""
    if not data.startswith(b"\x89PNG"):
        return _bits(data, rng)
    places, place = [], 8
    while place + 12 <= len(data):
        places.append(place)
        place += 12 + int(struct.unpack_from(">I", data, place)[0])
    place = rng.choice(places)
    length = struct.unpack_from(">I", data, place)[0]
    body = bytearray(data[place + 8 : place + 8 + length])
    for _ in range(rng.randint(1, 8) if body else 0):
        body[rng.randrange(length)] = rng.randrange(256)
    kind = data[place + 4 : place + 8]
    chunk = struct.pack(">I", length) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:place] + chunk + data[place + 12 + length :]


def _metadata(data: bytes, rng: random.Random) -> bytes:
    """EXIF, XMP and colour profile of noise, where the format has them."""
    noise = rng.randbytes(rng.randint(0, 400))
    exif = rng.choice([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0", b""]) + noise
    if data.startswith(b"\xff\xd8"):
        head = rng.choice([b"Exif\0\0" + exif, b"ICC_PROFILE\0\1\1" + noise, b"MPF\0" + exif, b"Adobe" + noise])
        marker = {b"E": 0xE1, b"I": 0xE2, b"M": 0xE2, b"A": 0xEE}[head[:1]]
        return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(head) + 2) + head + data[2:]
    if data.startswith(b"\x89PNG"):
        kind, body = rng.choice(
            [(b"eXIf", exif), (b"iCCP", b"p\0\0" + zlib.compress(noise)), (b"tRNS", noise), (b"acTL", noise),
             (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + noise), (b"PLTE", noise), (b"fcTL", noise)]
        )  # fmt: skip
        chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        return data[:33] + chunk + data[33:]
    return _overwritten(data, rng)


def _polyglot(data: bytes, rng: random.Random) -> bytes:
    """An image that is a page, a script or an archive as well."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../evil.py", bytes(100_000))
    return rng.choice([
        data + _SCRIPT, data + archive.getvalue(), _SCRIPT + data, archive.getvalue() + data,
        b"GIF89a=1;/*" + data + b"*/;alert(1)", b"GIF89a/*" + bytes(3) + b"*/=alert(1);" + data, b"%PDF-1.7\n" + data,
        data + rng.choice(list(seeds().values())),
    ])  # fmt: skip


def _other(data: bytes, rng: random.Random) -> bytes:
    """No image that is read here, under an image's name."""
    return rng.choice([
        b"", _SVG, b"<?xml version='1.0'?>" + _SVG, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
        b"%PDF-1.7", b"PK\3\4" + data, b"\x1f\x8b" + data, b"8BPS\0\1" + data, b"\0\0\1\0\1\0" + data,
        b"P6 9 9 255\n" + data,
        b"\0\0\0\x20ftypavif" + data, b"\0\0\0\x0cjP  \r\n\x87\n" + data, b"\xd7\xcd\xc6\x9a" + data,
        rng.randbytes(500),
        b"#!/bin/sh\nrm -rf /\n", b"<html>" + _SCRIPT, b"\0" * 1000, b"push graphic-context\nfill 'url(http://127.0.0.1)'",
    ])  # fmt: skip


_WAYS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bits": _bits,
    "first bytes": _head_bits,
    "cut": _cut,
    "removed": _removed,
    "repeated": _repeated,
    "overwritten": _overwritten,
    "other sizes": _sizes,
    "chunk": _checked_chunk,
    "metadata": _metadata,
    "polyglot": _polyglot,
    "no image": _other,
    "splice": lambda data, _: data,
}
