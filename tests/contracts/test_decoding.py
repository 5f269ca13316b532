"""Every kind of image file becomes the right pixels, and every broken one a clear error."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from src.contracts.decoding import decode
from src.contracts.image_errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedImageError
from src.contracts.preprocessing import preprocess
from src.contracts.preprocessing_spec import PreprocessingSpec
from tests.pictures import encode, smooth_picture

PICTURE = smooth_picture(40, 60, seed=0)
IMAGE = Image.fromarray(PICTURE)


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def worst(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize(
    "data",
    [
        encode(IMAGE, "PNG"),
        encode(IMAGE, "BMP"),
        encode(IMAGE, "TIFF"),
        encode(IMAGE, "TIFF", compression="tiff_lzw"),
        encode(IMAGE, "WEBP", lossless=True),
        encode(IMAGE, "PNG", interlace=1),
    ],
)
def test_lossless_files_give_the_pixels_that_were_written(data: bytes) -> None:
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, PICTURE)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2, "quality": 30}])
def test_colour_jpegs_decode_like_pillow(options: dict) -> None:
    data = encode(IMAGE, "JPEG", **options)
    assert worst(decode(data), pillow(data)) <= 1


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    data = encode(IMAGE.convert("L"), "JPEG")
    pixels = decode(data)
    assert worst(pixels, pillow(data)) <= 1
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


def without_adobe_marker(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    (length,) = struct.unpack(">H", data[at + 2 : at + 4])
    return data[:at] + data[at + 2 + length :]


def test_cmyk_jpegs_are_inverted_as_adobe_writes_them() -> None:
    colour = np.array([30, 160, 220])
    cmyk = Image.new("CMYK", (16, 16), (*(255 - colour).tolist(), 0))
    data = encode(cmyk, "JPEG", quality=100)
    assert b"Adobe" in data
    assert np.abs(decode(data).astype(int) - colour).max() <= 2
    assert np.abs(decode(without_adobe_marker(data)).astype(int) - colour).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB")])
def test_exif_orientation_is_applied(form: str, mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(IMAGE.convert(mode), form, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright.size == ((60, 40) if orientation <= 4 else (40, 60))
    assert worst(decode(data), np.asarray(upright.convert("RGB"))) <= 1


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert worst(decode(encode(IMAGE, "JPEG", exif=exif)), decode(encode(IMAGE, "JPEG"))) == 0


def rgba() -> np.ndarray:
    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    return np.dstack([PICTURE, alpha])


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})])
def test_transparency_is_flattened_on_white(form: str, options: dict) -> None:
    pixels = rgba()
    share = pixels[..., 3:] / 255.0
    expected = pixels[..., :3] * share + 255 * (1 - share)
    got = decode(encode(pixels, form, **options))
    assert np.abs(got - expected).max() <= 1
    assert (got[:, 0] == 255).all()


def test_grey_with_alpha_is_flattened_on_white() -> None:
    grey = np.array([[0, 0, 100], [200, 255, 50]], np.uint8)
    alpha = np.array([[255, 0, 128], [0, 255, 255]], np.uint8)
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    expected = np.rint(grey * (alpha / 255.0) + 255 * (1 - alpha / 255.0))
    got = decode(encode(image, "PNG"))
    assert np.abs(got - expected[..., None]).max() <= 1


def palette_image() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8), "L")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return image


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_palettes_become_their_colours(form: str) -> None:
    got = decode(encode(palette_image(), form))
    assert got.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 0, 0]]]


@pytest.mark.parametrize(("form", "transparency"), [("PNG", 1), ("GIF", 1), ("PNG", b"\xff\x00\xff")])
def test_transparent_palette_entries_become_white(form: str, transparency: int | bytes) -> None:
    got = decode(encode(palette_image(), form, transparency=transparency))
    assert got.tolist() == [[[255, 0, 0], [255, 255, 255]], [[0, 0, 255], [255, 0, 0]]]


def test_a_transparent_colour_of_a_png_becomes_white() -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8))
    assert decode(encode(image, "PNG", transparency=(9, 9, 9))).tolist() == [[[1, 2, 3], [255, 255, 255]]]


def test_one_bit_images_are_black_and_white() -> None:
    bits = np.array([[True, False, True], [False, False, True]])
    for form in ("PNG", "TIFF", "BMP"):
        np.testing.assert_array_equal(
            decode(encode(Image.fromarray(bits), form)), np.repeat(bits[..., None] * 255, 3, 2)
        )


def test_sixteen_bit_grey_keeps_its_range() -> None:
    values = np.array([[0, 128, 257], [32768, 65279, 65535]], np.uint16)
    expected = np.rint(values / 257.0)
    for form in ("PNG", "TIFF"):
        got = decode(encode(Image.fromarray(values), form))
        np.testing.assert_array_equal(got, np.repeat(expected[..., None], 3, 2))


def test_sixteen_bit_colour_keeps_its_range() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    data = cv2.imencode(".png", values[..., ::-1])[1].tobytes()
    assert np.abs(decode(data) - values / 257.0).max() <= 1


def test_floating_point_is_scaled_by_its_range() -> None:
    ramp = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    expected = np.repeat(np.rint(ramp * 255)[..., None], 3, 2)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(ramp), "TIFF")), expected)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(ramp * 65535), "TIFF")), expected)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(form: str) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(first, form, save_all=True, append_images=[second], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert (decode(data) == [255, 0, 0]).all()


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (9600, 9600), (60_000, 60_000), (2**31 - 1, 2)])
def test_bombs_are_refused_by_their_header(width: int, height: int) -> None:
    with pytest.raises(ImageTooLargeError, match="64,000,000"):
        decode(png_of(width, height))


def test_a_jpeg_that_claims_to_be_huge_is_refused() -> None:
    data = bytearray(encode(IMAGE, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(ImageTooLargeError):
        decode(bytes(data))


def test_the_limit_on_pixels_is_inclusive_and_can_be_set() -> None:
    data = encode(IMAGE, "PNG")
    assert decode(data, max_pixels=40 * 60).shape == (40, 60, 3)
    with pytest.raises(ImageTooLargeError, match="60 x 40 pixels; at most 2,399"):
        decode(data, max_pixels=40 * 60 - 1)
    with pytest.raises(ImageTooLargeError):
        preprocess(data, PreprocessingSpec(size=8), max_pixels=100)


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"hello, I am a photo",
        b"\x00" * 500,
        b"%PDF-1.4\n%%EOF",
        b"PK\x03\x04" + b"\x00" * 50,
        np.random.default_rng(0).bytes(2000),
        encode(IMAGE, "ICO"),
        encode(IMAGE, "PPM"),
    ],
)
def test_what_is_no_image_or_of_another_format_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImageError, match="not a JPEG, PNG"):
        decode(data)


def test_no_bytes_are_no_image() -> None:
    with pytest.raises(UnsupportedImageError, match="0 bytes"):
        decode(b"")


@pytest.mark.parametrize(
    ("form", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})]
)
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.97])
def test_truncated_files_are_refused(form: str, options: dict, part: float) -> None:
    data = encode(smooth_picture(120, 160, seed=3), form, **options)
    with pytest.raises(ImageError):
        decode(data[: int(len(data) * part)])


def test_a_damaged_file_is_called_damaged() -> None:
    data = bytearray(encode(smooth_picture(120, 160, seed=3), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CorruptImageError, match="truncated or damaged"):
        decode(bytes(data))


SEEDS = [
    encode(IMAGE, "JPEG"),
    encode(IMAGE, "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"),
    encode(IMAGE.convert("CMYK"), "JPEG"),
    encode(IMAGE, "PNG"),
    encode(palette_image(), "PNG", transparency=b"\xff\x00\xff"),
    encode(IMAGE, "WEBP"),
    encode(IMAGE, "GIF"),
    encode(IMAGE, "TIFF", compression="tiff_lzw"),
    encode(IMAGE, "BMP"),
]


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    st.booleans(),
    st.floats(0.05, 1),
)
def test_mutated_files_decode_or_raise_image_errors(
    data: bytes, changes: list[tuple[float, int]], header: bool, part: float
) -> None:
    mutated = bytearray(data)
    for place, value in changes:
        # Half of the time within the first bytes, where the formats keep their structure.
        mutated[int(place * (min(200, len(data)) if header else len(data)))] = value
    try:
        pixels = decode(bytes(mutated[: max(1, int(len(mutated) * min(1, part * 2)))]), max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP", b"GIF89a", b"II*\0"]),
    st.binary(),
)
def test_random_bytes_raise_image_errors(magic: bytes, data: bytes) -> None:
    with pytest.raises(ImageError):
        decode(magic + data)
