"""Every kind of file becomes its pixels, or raises a clear error: whole, cut off, damaged or with additions."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from src.contracts.decoding import decode
from src.contracts.image_errors import CorruptImageError, ImageError, UnsupportedImageError
from src.contracts.image_header import read_header
from tests.image_files import SHORT, packed, png, png_chunk, retagged, tiff
from tests.image_kinds import HEIGHT, KINDS, PICTURE, TIFF_KINDS, WIDTH, Kind, draw
from tests.pictures import encode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

CUTS = 24
"""Places at which each file is cut off."""


def expect(data: bytes, kind: Kind) -> None:
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.shape == kind.expected.shape
    assert np.abs(pixels - kind.expected).max() <= kind.tolerance + 1e-9


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_becomes_the_pixels_that_it_stands_for(name: str) -> None:
    kind = KINDS[name]
    expect(kind.data, kind)
    header = read_header(kind.data)
    assert (header.height, header.width) == kind.expected.shape[:2]


@pytest.mark.parametrize("name", KINDS)
def test_bytes_behind_a_picture_change_nothing(name: str) -> None:
    expect(KINDS[name].data + b"\0junk\xff\xd8\xff" * 40, KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_bytes_before_a_picture_make_it_no_image(name: str) -> None:
    for before in (b"\n", b"\xef\xbb\xbf", b"--boundary\r\n\r\n"):
        with pytest.raises(UnsupportedImageError, match="not a JPEG, PNG"):
            decode(before + KINDS[name].data)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_is_cut_off_is_refused_or_complete(name: str) -> None:
    """Some formats end with bytes that no pixel needs; what decodes without them is the whole picture."""
    data = KINDS[name].data
    whole = decode(data)
    for end in sorted({*np.linspace(0, len(data) - 1, CUTS).astype(int).tolist(), len(data) - 2}):
        try:
            pixels = decode(data[:end])
        except ImageError:
            continue
        np.testing.assert_array_equal(pixels, whole, err_msg=f"{end} of {len(data)} bytes")
    with pytest.raises(ImageError):
        decode(data[: len(data) * 2 // 5])


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_an_image_error_or_some_pixels(name: str) -> None:
    data, rng = KINDS[name].data, np.random.default_rng(len(name))
    for _ in range(12):
        damaged = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(0, rng.choice([60, len(data)]), 3) % len(data)
        damaged[places] = rng.integers(0, 256, 3)
        try:
            pixels = decode(damaged.tobytes(), max_pixels=100_000)
        except ImageError:
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape[2:] == (3,)


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith(("JPEG", "GIF", "WebP"))])
def test_opencv_decodes_the_same(name: str) -> None:
    """Of the formats whose pixels above are not known from a formula; but CMYK, which it converts in fewer bits."""
    kind = KINDS[name]
    theirs = cv2.imdecode(np.frombuffer(kind.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if theirs.ndim == 2:
        theirs = np.repeat(theirs[..., None], 3, axis=-1)
    if theirs.shape[2] == 4:
        alpha = theirs[..., 3:] / 255
        theirs = theirs[..., :3] * alpha + 255 * (1 - alpha)
    tolerance = 5 if name.endswith(("CMYK", "YCCK")) else 1
    assert np.abs(decode(kind.data) - theirs[..., 2::-1].astype(float)).max() <= tolerance


def refused(data: bytes, kind: type[ImageError], what: str) -> None:
    with pytest.raises(kind, match=what):
        decode(data)


@pytest.mark.parametrize("colour", [0, 2, 6])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_png_whose_pixels_end_early_is_refused(rows: int, colour: int) -> None:
    values = draw(8, {0: 1, 2: 3, 6: 4}[colour])
    refused(png(values, bits=8, colour=colour, rows=rows), CorruptImageError, "truncated or damaged")
    black = np.zeros_like(values)
    np.testing.assert_array_equal(decode(png(black, bits=8, colour=colour)), 255 if colour == 6 else 0)


def test_an_interlaced_png_whose_pixels_end_early_is_refused() -> None:
    data = encode(PICTURE, "PNG", interlace=1)
    place = data.index(b"IDAT")
    length = int.from_bytes(data[place - 4 : place], "big")
    coded = zlib.decompress(data[place + 4 : place + 4 + length])
    for kept in (0, 20, len(coded) - 1):
        short = data[: place - 4] + png_chunk(b"IDAT", zlib.compress(coded[:kept])) + png_chunk(b"IEND", b"")
        refused(short, CorruptImageError, "truncated or damaged")


def test_a_tiff_whose_strips_are_short_or_missing_is_refused() -> None:
    rows = packed(PICTURE, 8)
    tags = {258: (SHORT, [8] * 3), 262: (SHORT, [2]), 277: (SHORT, [3]), 278: (SHORT, [4])}
    whole = [b"".join(rows[:4]), b"".join(rows[4:])]

    def made(strips: list[bytes]) -> bytes:
        return tiff(strips, width=WIDTH, height=HEIGHT, tags=tags) + bytes(2000)

    np.testing.assert_array_equal(decode(made(whole)), PICTURE)
    for strips in ([whole[0][:-1], whole[1]], [whole[0], whole[1][:40]], whole[:1], []):
        refused(made(strips), ImageError, "damaged|not")
    tags[284] = (SHORT, [2])
    planes = [b"".join(packed(PICTURE[top : top + 4, :, channel], 8)) for channel in range(3) for top in (0, 4)]
    np.testing.assert_array_equal(decode(made(planes)), PICTURE)
    refused(made(planes[:5]), CorruptImageError, "missing")


def test_a_tiff_whose_jpeg_data_has_no_end_is_refused() -> None:
    data = KINDS["TIFF: jpeg, pixels at the end"].data
    last = data.rindex(b"\xff\xd9")
    refused(data[: last - 12] + bytes(len(data) - last + 12), CorruptImageError, "JPEG data without an end")


MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
APART = {284: (SHORT, [2])}
MISREAD = {
    "16 bits, planes apart": (16, 2, 3, APART, "<", False),
    "16-bit CMYK, planes apart": (16, 5, 4, APART, "<", False),
    "grey and alpha apart": (8, 1, 2, {338: (SHORT, [2]), **APART}, "<", True),
    "bits from the right, planes apart": (8, 2, 3, {266: (SHORT, [2]), **APART}, "<", False),
    "signed": (16, 1, 1, {339: (SHORT, [2])}, "<", False),
    "subsampled": (8, 6, 3, {530: (SHORT, [2, 2])}, "<", False),
    "floating point, big-endian, compressed": (32, 1, 1, {339: (SHORT, [3])}, ">", True),
    "integers of 32 bits, big-endian, compressed": (32, 1, 1, {339: (SHORT, [2])}, ">", True),
}


@pytest.mark.parametrize("name", MISREAD)
def test_a_tiff_that_pillow_would_misread_is_refused(name: str) -> None:
    bits, photometric, samples, further, order, coded = MISREAD[name]
    planes = [b"".join(packed(draw(min(bits, 30), seed=plane), bits, order=order)) for plane in range(samples)]
    strips = planes if 284 in further else [b"".join(planes)]
    tags = {258: (SHORT, [bits] * samples), 262: (SHORT, [photometric]), 277: (SHORT, [samples]), **further}
    if coded:
        tags, strips = {**tags, 259: (SHORT, [8])}, [zlib.compress(strip) for strip in strips]
    data = tiff(strips, width=WIDTH, height=HEIGHT, tags=tags, order=order)
    refused(data, UnsupportedImageError, "a TIFF (of|whose) .* save it")


@pytest.mark.parametrize("name", [name for name in TIFF_KINDS if "endian" in name])
def test_bits_that_are_filled_from_the_right_are_read_so_or_refused(name: str) -> None:
    kind = TIFF_KINDS[name]
    data = retagged(kind.data, {266: (SHORT, [2])}, recoded=lambda strip: strip.translate(MIRRORED))
    try:
        pixels = decode(data)
    except ImageError:
        return
    assert np.abs(pixels - kind.expected).max() <= kind.tolerance + 1e-9


@pytest.mark.parametrize("name", [name for name in TIFF_KINDS if "grey, " in name or "palette, " in name])
def test_where_there_is_one_plane_it_does_not_matter_that_planes_are_apart(name: str) -> None:
    kind = TIFF_KINDS[name]
    data = retagged(kind.data, APART)
    if "deflate" not in name and (name.split(",")[1] != " 8 bits" or "white is zero" in name):
        refused(data, UnsupportedImageError, "planes")
        return
    pixels = decode(data)
    assert np.abs(pixels - kind.expected).max() <= kind.tolerance + 1e-9


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floating_point_without_a_value_is_refused(value: float) -> None:
    pixels = np.full((4, 5), 0.5, np.float32)
    pixels[2, 3] = value
    refused(encode(Image.fromarray(pixels), "TIFF"), CorruptImageError, "NaN")


@pytest.mark.parametrize("value", [-1, 65_536, 2**31 - 1])
def test_integers_outside_sixteen_bits_are_refused(value: int) -> None:
    pixels = np.full((4, 5), 7, np.int32)
    pixels[2, 3] = value
    refused(encode(Image.fromarray(pixels), "TIFF"), UnsupportedImageError, "0 to 65,535 are read")


@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "BMP", "WebP", "JPEG"])
def test_a_known_file_of_an_unknown_kind_is_called_by_its_format(form: str) -> None:
    data = next(kind.data for name, kind in KINDS.items() if name.startswith(form))
    refused(data[:18] + b"\xff" * 40, ImageError, f"(?i){form}|damaged")
