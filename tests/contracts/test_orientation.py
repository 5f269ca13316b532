"""Every accepted format that names an orientation comes out upright, once: OpenCV and NumPy are the references."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from src.contracts.preprocessing import decode
from tests.pictures import encode, smooth_picture

PICTURE = smooth_picture(48, 64, seed=0)
FIELD = Path("../shared/field")
ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG = 1, 2, 3, 4
NO_ORIENTATION = [(0, SHORT), (9, SHORT), (65535, SHORT), (6, BYTE), (b"6\0", ASCII)]
COMPRESSIONS = ["raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd", "jpeg"]
COMPRESSIONS += ["tiff_ccitt", "group3", "group4"]
UNKNOWN_TO_OPENCV = ("lzma", "zstd")


def turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    """The table of the EXIF standard: where the stored row 0 and column 0 are in the upright picture."""
    return {
        1: stored,
        2: np.fliplr(stored),
        3: np.rot90(stored, 2),
        4: np.flipud(stored),
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }[orientation]


def entry(value: int | bytes, kind: int) -> bytes:
    """A directory's entry, little-endian."""
    if isinstance(value, int):
        value = struct.pack({BYTE: "<B", SHORT: "<H", LONG: "<I"}[kind], value)
    return struct.pack("<HHI", ORIENTATION, kind, len(value) if kind == ASCII else 1) + value.ljust(4, b"\0")


def with_exif(form: str, options: dict) -> Callable[[int | bytes, int], bytes]:
    def make(value: int | bytes, kind: int) -> bytes:
        return encode(PICTURE, form, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry(value, kind) + bytes(4), **options)

    return make


def tiff(compression: str) -> Callable[[int | bytes, int], bytes]:
    bits = compression in ("tiff_ccitt", "group3", "group4")
    image = Image.fromarray(PICTURE).convert("1") if bits else Image.fromarray(PICTURE)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[ORIENTATION] = 1
    try:
        written = encode(image, "TIFF", compression=None if compression == "raw" else compression, tiffinfo=tags)
    except OSError:
        pytest.skip(f"this Pillow was built without {compression}")

    def make(value: int | bytes, kind: int) -> bytes:
        # Written over: libtiff itself refuses to write a number that is no orientation.
        return written.replace(entry(1, SHORT), entry(value, kind))

    return make


FILES = {
    "JPEG": lambda: with_exif("JPEG", {}),
    "progressive JPEG": lambda: with_exif("JPEG", {"progressive": True}),
    "PNG": lambda: with_exif("PNG", {}),
    "WebP": lambda: with_exif("WEBP", {}),
    "lossless WebP": lambda: with_exif("WEBP", {"lossless": True}),
} | {f"TIFF {compression}": lambda compression=compression: tiff(compression) for compression in COMPRESSIONS}


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(("orientation", "kind"), [*((value, SHORT) for value in range(1, 9)), (6, LONG)])
@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_turned_once(name: str, orientation: int, kind: int) -> None:
    make = FILES[name]()
    data = make(orientation, kind)
    got = decode(data)
    np.testing.assert_array_equal(got, turned(decode(make(1, SHORT)), orientation))
    if not name.endswith(UNKNOWN_TO_OPENCV):
        theirs = by_opencv(data)
        assert got.shape == theirs.shape
        assert np.abs(got.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize(("value", "kind"), NO_ORIENTATION)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_orientation_changes_nothing(name: str, value: int | bytes, kind: int) -> None:
    make = FILES[name]()
    np.testing.assert_array_equal(decode(make(value, kind)), decode(make(1, SHORT)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "F"])
def test_a_tiff_of_any_mode_is_turned_once(mode: str, orientation: int) -> None:
    if mode in ("I;16", "F"):
        image = Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257 if mode == "I;16" else PICTURE[..., 0] / 255.0)
    else:
        image = Image.fromarray(PICTURE).convert(mode)
    plain, tagged = (encode(image, "TIFF", tiffinfo=tags) for tags in ({}, {ORIENTATION: orientation}))
    np.testing.assert_array_equal(decode(tagged), turned(decode(plain), orientation))


@pytest.mark.skipif(not FIELD.is_dir(), reason="needs the field cases beside the checkout")
def test_the_tiff_that_was_turned_twice() -> None:
    data = (FIELD / "orientation6.tif").read_bytes()
    np.testing.assert_array_equal(decode(data), by_opencv(data))
    with Image.open(io.BytesIO(data)) as image:
        assert image.tag_v2[ORIENTATION] == 6
