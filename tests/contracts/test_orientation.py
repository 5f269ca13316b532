"""Every accepted format that names an orientation comes out upright, once: OpenCV and NumPy are the references."""

import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from PIL import Image

from src.contracts.decoding import decode
from src.contracts.image_header import read_header
from src.contracts.preprocessing import cut, preprocess, resize
from src.contracts.preprocessing_spec import PreprocessingSpec
from tests.image_files import (
    ASCII,
    BYTE,
    FLOAT,
    LONG,
    ORIENTATION,
    RATIONAL,
    SHORT,
    SIGNED_SHORT,
    exif,
    jpeg_with,
    png_chunk,
    retagged,
    webp_with,
)
from tests.image_kinds import TIFF_KINDS
from tests.pictures import encode, smooth_picture

# What Pillow says of damaged EXIF data; users see it too.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

HEIGHT, WIDTH = 12, 20
PICTURE = smooth_picture(HEIGHT, WIDTH, seed=0)
PREFIX = b"Exif\0\0"
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="{}"/></x:xmpmeta>'
COMPRESSIONS = ["raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd", "jpeg"]
COMPRESSIONS += ["tiff_ccitt", "group3", "group4"]
# It reads neither compression, and no EXIF in a WebP that begins as in a JPEG, as some programs write it.
UNKNOWN_TO_OPENCV = ("lzma", "zstd", "prefix")
NO_ORIENTATION = {
    "0": (0, SHORT),
    "9": (9, SHORT),
    "65535": (65535, SHORT),
    "bytes": (6, BYTE),
    "text": (b"6\0", ASCII),
    "word": (b"Rotate 90 CW\0", ASCII),
    "6.5": (6.5, FLOAT),
    "NaN": (float("nan"), FLOAT),
    "6/0": ((6, 0), RATIONAL),
    "no value": ((), SHORT),
}


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


def in_jpeg(tags: bytes, **options: object) -> bytes:
    return jpeg_with(encode(PICTURE, "JPEG", **options), PREFIX + tags)


def in_png(tags: bytes) -> bytes:
    return png_with(before=png_chunk(b"eXIf", tags))


def png_with(*, before: bytes = b"", behind: bytes = b"") -> bytes:
    data = encode(PICTURE, "PNG")
    return data[:33] + before + data[33:-12] + behind + data[-12:]


def in_webp(tags: bytes, **options: object) -> bytes:
    return webp_with(encode(PICTURE, "WEBP", **options), WIDTH, HEIGHT, exif=tags)


WITH_EXIF: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": in_jpeg,
    "progressive JPEG": lambda tags: in_jpeg(tags, progressive=True),
    "PNG": in_png,
    "PNG, behind the pixels": lambda tags: png_with(behind=png_chunk(b"eXIf", tags)),
    "PNG with a prefix": lambda tags: in_png(PREFIX + tags),
    "WebP": in_webp,
    "WebP with a prefix": lambda tags: in_webp(PREFIX + tags),
    "lossless WebP": lambda tags: in_webp(tags, lossless=True),
}


def in_tiff(compression: str, value: int | bytes | Sequence[float], kind: int, **options: object) -> bytes:
    """The strips that Pillow writes, under a directory of our own: libtiff itself refuses an odd orientation."""
    bits = compression in ("tiff_ccitt", "group3", "group4")
    image = Image.fromarray(PICTURE).convert("1") if bits else Image.fromarray(PICTURE)
    try:
        written = encode(image, "TIFF", compression=None if compression == "raw" else compression)
    except OSError:
        pytest.skip(f"this Pillow was built without {compression}")
    return turned_tiff(written, value, kind, **options)


def turned_tiff(written: bytes, value: int | bytes | Sequence[float], kind: int = SHORT, **options: object) -> bytes:
    values = list(value) if isinstance(value, bytes | tuple) else [value]
    return retagged(written, {ORIENTATION: (kind, values)}, **options)


FILES: dict[str, Callable[..., bytes]] = {
    name: lambda value, kind=SHORT, make=make: make(exif(value, kind)) for name, make in WITH_EXIF.items()
} | {f"TIFF {name}": lambda value, kind=SHORT, name=name: in_tiff(name, value, kind) for name in COMPRESSIONS}


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(("orientation", "kind"), [*((value, SHORT) for value in range(1, 9)), (6, LONG)])
@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_turned_once(name: str, orientation: int, kind: int) -> None:
    data = FILES[name](orientation, kind)
    got = decode(data)
    np.testing.assert_array_equal(got, turned(decode(FILES[name](1)), orientation))
    header = read_header(data)
    assert (header.height, header.width) == got.shape[:2]
    if not name.endswith(UNKNOWN_TO_OPENCV):
        theirs = by_opencv(data)
        assert got.shape == theirs.shape
        assert np.abs(got.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("why", NO_ORIENTATION)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_orientation_changes_nothing(name: str, why: str) -> None:
    data = FILES[name](*NO_ORIENTATION[why])
    np.testing.assert_array_equal(decode(data), decode(FILES[name](1)))
    assert (read_header(data).width, read_header(data).height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("value", [(6.0, FLOAT), ((6, 1), RATIONAL), (6, SIGNED_SHORT), ((6, 6), SHORT)])
@pytest.mark.parametrize("name", FILES)
def test_six_of_an_odd_type_is_the_same_for_header_and_pixels(name: str, value: tuple) -> None:
    data = FILES[name](*value)
    got, header = decode(data), read_header(data)
    assert (header.height, header.width) == got.shape[:2]
    upright = decode(FILES[name](1))
    np.testing.assert_array_equal(got, turned(upright, 6) if header.orientation == 6 else upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", [name for name in WITH_EXIF if "JPEG" in name or name == "PNG"])
def test_big_endian_exif_is_read(name: str, orientation: int) -> None:
    data = WITH_EXIF[name](exif(orientation, order=">"))
    np.testing.assert_array_equal(decode(data), turned(decode(WITH_EXIF[name](exif(1))), orientation))


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("name", WITH_EXIF)
def test_the_orientation_of_a_thumbnail_does_not_count(name: str, orientation: int) -> None:
    """The second directory describes the thumbnail."""
    data = WITH_EXIF[name](exif(orientation, following=8))
    np.testing.assert_array_equal(decode(data), turned(decode(WITH_EXIF[name](exif(1))), orientation))


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_orientation_of_a_tiffs_second_page_does_not_count(compression: str, orientation: int) -> None:
    second = {256: (SHORT, [1]), 257: (SHORT, [1]), ORIENTATION: (SHORT, [8])}
    data = in_tiff(compression, orientation, SHORT, following=second)
    np.testing.assert_array_equal(decode(data), turned(decode(in_tiff(compression, 1, SHORT)), orientation))


def in_xmp(form: str, orientation: int, tags: bytes | None) -> bytes:
    xmp = XMP.format(orientation).encode()
    if form == "JPEG":
        segments = [] if tags is None else [PREFIX + tags]
        return jpeg_with(encode(PICTURE, "JPEG"), *segments, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    if form == "WebP":
        return webp_with(encode(PICTURE, "WEBP"), WIDTH, HEIGHT, exif=tags or b"", xmp=xmp)
    compressed = form.endswith("deflated")
    text = png_chunk(
        b"iTXt", b"XML:com.adobe.xmp\0" + bytes([compressed, 0, 0, 0]) + (zlib.compress(xmp) if compressed else xmp)
    )
    front = b"" if tags is None else png_chunk(b"eXIf", tags)
    return png_with(before=front + text) if "before" in form else png_with(before=front, behind=text)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "WebP", "PNG, before", "PNG, behind", "PNG, behind, deflated"])
def test_xmp_counts_where_exif_names_no_orientation(form: str, orientation: int) -> None:
    upright = decode(in_xmp(form, 1, None))
    np.testing.assert_array_equal(decode(in_xmp(form, orientation, None)), turned(upright, orientation))
    np.testing.assert_array_equal(decode(in_xmp(form, orientation, exif(3))), turned(upright, 3))
    np.testing.assert_array_equal(decode(in_xmp(form, orientation, exif(1))), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_exif_in_a_text_of_a_png_is_read_wherever_it_stands(kind: bytes, place: str, orientation: int) -> None:
    """As ImageMagick writes it where the standard's chunk is not known."""
    tags = PREFIX + exif(orientation)
    text = f"\nexif\n{len(tags):8}\n{tags.hex()}\n".encode()
    content = b"Raw profile type exif\0" + (b"\0" + zlib.compress(text) if kind == b"zTXt" else text)
    data = png_with(**{place: png_chunk(kind, content)})
    np.testing.assert_array_equal(decode(data), turned(PICTURE, orientation))


WHOLE = exif(6)
DAMAGED = {
    "no TIFF": b"garbage garbage garbage",
    "nothing": b"",
    "no byte order": WHOLE[2:],
    "only a magic": WHOLE[:4],
    "no directory": WHOLE[:8],
    "half an entry": WHOLE[:14],
    "a directory far away": WHOLE[:4] + (9999).to_bytes(4, "little") + WHOLE[8:],
    "a directory within the header": WHOLE[:4] + (4).to_bytes(4, "little") + bytes(40),
}


@pytest.mark.parametrize("why", DAMAGED)
@pytest.mark.parametrize("name", WITH_EXIF)
def test_damaged_metadata_does_not_cost_the_picture(name: str, why: str) -> None:
    np.testing.assert_array_equal(decode(WITH_EXIF[name](DAMAGED[why])), decode(WITH_EXIF[name](exif(1))))


def test_of_two_segments_of_exif_the_first_counts() -> None:
    data = jpeg_with(encode(PICTURE, "JPEG"), PREFIX + exif(6), PREFIX + exif(3))
    np.testing.assert_array_equal(decode(data), turned(decode(in_jpeg(exif(1))), 6))
    assert decode(data).shape == by_opencv(data).shape


@pytest.mark.parametrize("name", TIFF_KINDS)
def test_a_tiff_of_any_kind_is_turned_once(name: str) -> None:
    data = TIFF_KINDS[name].data
    stored = decode(data)
    for orientation in range(1, 9):
        np.testing.assert_array_equal(decode(turned_tiff(data, orientation)), turned(stored, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "F"])
def test_a_tiff_that_pillow_writes_is_turned_once(mode: str, big: bool, orientation: int) -> None:
    if mode in ("I;16", "F"):
        image = Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257 if mode == "I;16" else PICTURE[..., 0] / 255.0)
    else:
        image = Image.fromarray(PICTURE).convert(mode)
    plain, tagged = (encode(image, "TIFF", tiffinfo=tags, big_tiff=big) for tags in ({}, {ORIENTATION: orientation}))
    np.testing.assert_array_equal(decode(tagged), turned(decode(plain), orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "TIFF raw", "TIFF tiff_lzw"])
def test_a_box_lies_in_the_upright_picture(name: str, orientation: int) -> None:
    spec, box = PreprocessingSpec(size=8, resize="squash"), (0.5, 0.25, 0.5, 0.5)
    upright = turned(decode(FILES[name](1)), orientation)
    expected = resize(cut(np.ascontiguousarray(upright), box), spec)
    np.testing.assert_array_equal(preprocess(FILES[name](orientation), spec, box=box), expected)
