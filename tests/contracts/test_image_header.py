"""Headers of every kind of file, read without a pixel being decoded."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from src.contracts.decoding import decode
from src.contracts.image_errors import CorruptImageError, ImageError, UnsupportedImageError
from src.contracts.image_header import ImageHeader, read_header
from src.contracts.preprocessing_spec import PreprocessingSpec
from tests.pictures import encode, smooth_picture

IMAGE = Image.fromarray(smooth_picture(40, 60, seed=0))
FLOAT = Image.fromarray(np.linspace(0, 1, 2400, dtype=np.float32).reshape(40, 60))
SIXTEEN = Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60))

FILES = {
    ("JPEG", "RGB"): encode(IMAGE, "JPEG"),
    ("JPEG", "L"): encode(IMAGE.convert("L"), "JPEG", progressive=True),
    ("JPEG", "CMYK"): encode(IMAGE.convert("CMYK"), "JPEG"),
    ("PNG", "RGB"): encode(IMAGE, "PNG"),
    ("PNG", "P"): encode(IMAGE.quantize(9), "PNG"),
    ("PNG", "I;16"): encode(SIXTEEN, "PNG"),
    ("PNG", "1"): encode(IMAGE.convert("1"), "PNG"),
    ("WEBP", "RGB"): encode(IMAGE, "WEBP"),
    ("WEBP", "RGBA"): encode(IMAGE.convert("RGBA").rotate(9), "WEBP", lossless=True),
    ("GIF", "P"): encode(IMAGE.quantize(9), "GIF"),
    ("BMP", "RGB"): encode(IMAGE, "BMP"),
    ("TIFF", "F"): encode(FLOAT, "TIFF"),
    ("TIFF", "RGB"): encode(IMAGE, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize(("form", "mode"), FILES)
def test_format_mode_and_size_are_read(form: str, mode: str) -> None:
    header = read_header(FILES[form, mode])
    assert (header.format, header.mode, header.width, header.height) == (form, mode, 60, 40)
    assert header.orientation == 1
    assert header.reducible == (form == "JPEG")
    assert header.decoder_bytes >= 0


def test_several_pictures_in_one_file_are_a_jpeg() -> None:
    assert read_header(encode(IMAGE, "MPO", save_all=True, append_images=[IMAGE])).format == "JPEG"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_size_is_that_of_the_upright_picture(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(IMAGE, form, **({"tiffinfo": {0x0112: orientation}} if form == "TIFF" else {"exif": exif}))
    header = read_header(data)
    assert header.orientation == orientation
    assert decode(data).shape == (header.height, header.width, 3)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "TIFF"])
def test_an_orientation_in_xmp_counts_where_there_is_no_other(form: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    data = encode(IMAGE, form, **({"tiffinfo": {700: xmp}} if form == "TIFF" else {"xmp": xmp}))
    header = read_header(data)
    assert header.orientation == 6
    assert (header.width, header.height) == (40, 60)
    assert decode(data).shape == (60, 40, 3)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_an_orientation_behind_a_pngs_pixels_is_found() -> None:
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    plain = FILES["PNG", "RGB"]
    data = plain[:-12] + png_chunk(b"eXIf", exif) + plain[-12:]
    assert read_header(data).orientation == 6
    np.testing.assert_array_equal(decode(data), np.rot90(np.asarray(IMAGE), -1))


@pytest.mark.parametrize(("form", "mode"), [key for key in FILES if key[0] not in ("TIFF", "WEBP")])
def test_no_pixel_is_needed(form: str, mode: str) -> None:
    """The file may end where the pixels begin."""
    data = FILES[form, mode]
    start = {
        "JPEG": data.find(b"\xff\xda") + 20,
        "PNG": data.find(b"IDAT") + 8,
        "GIF": data.find(b",", 13 + 3 * 16) + 14,
        "BMP": 60,
    }[form]
    assert replace(read_header(data[:start]), decoder_bytes=0) == replace(read_header(data), decoder_bytes=0)
    with pytest.raises(ImageError):
        decode(data[:start])


def test_a_file_of_any_size_has_a_header() -> None:
    data = bytearray(FILES["PNG", "RGB"])
    data[16:24] = struct.pack(">II", 60_000, 50_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    header = read_header(bytes(data))
    assert (header.width, header.height) == (60_000, 50_000)


def test_pictures_in_one_scan_hold_no_coefficients() -> None:
    """Not even those whose components have different sizes; a scan for each component needs them all."""
    one = read_header(encode(IMAGE, "JPEG", subsampling=2))
    several = read_header(encode(IMAGE, "JPEG", subsampling=2, progressive=True))
    # 64 x 48 pixels in whole blocks, 6 blocks for each 16 x 16 of them, 128 bytes a block.
    assert several.decoder_bytes - one.decoder_bytes == pytest.approx(4 * 3 * 6 * 128, abs=4_000)


def test_the_scale_follows_from_header_spec_and_box() -> None:
    header = ImageHeader(
        format="JPEG", mode="RGB", width=4000, height=3000, orientation=1, reducible=True, decoder_bytes=0
    )
    spec = PreprocessingSpec(size=224, decoding="reduced")
    assert header.divisor(None) == 1
    assert header.divisor(spec) == 4
    assert header.divisor(spec, (0.0, 0.0, 0.4, 0.4)) == 2


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedImageError),
        (b"hello", UnsupportedImageError),
        (encode(IMAGE, "ICO"), UnsupportedImageError),
        (FILES["JPEG", "RGB"][:100], CorruptImageError),
        (FILES["PNG", "RGB"][:20], ImageError),
        (FILES["WEBP", "RGB"][:25], CorruptImageError),
    ],
)
def test_what_has_no_header_is_refused(data: bytes, error: type[ImageError]) -> None:
    with pytest.raises(error):
        read_header(data)


@pytest.mark.parametrize("seed", range(300))
def test_damaged_headers_are_read_or_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(list(FILES.values())[seed % len(FILES)])
    for place in rng.integers(0, min(len(data), 300), 5):
        data[place] = rng.integers(256)
    try:
        header = read_header(bytes(data))
    except ImageError:
        return
    assert header.decoder_bytes >= 0
