"""JPEGs at a reduced scale: the same scale and pixels by both decoders, upright, and next to those of a full decode."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from src.contracts import decoding
from src.contracts.decoding import decode
from src.contracts.image_errors import CorruptImageError, ImageTooLargeError
from src.contracts.preprocessing import cut, preprocess, resize
from src.contracts.preprocessing_spec import PreprocessingSpec
from tests.pictures import encode, smooth_picture

PICTURE = smooth_picture(403, 610, seed=4)
IMAGE = Image.fromarray(PICTURE)
SPEC = PreprocessingSpec(size=24, decoding="reduced")
"""For which the picture is decoded at an eighth: 51 x 77 pixels."""

KINDS = {
    "colour": lambda: encode(IMAGE, "JPEG", quality=90),
    "no subsampling": lambda: encode(IMAGE, "JPEG", quality=90, subsampling=0),
    "subsampled in both directions": lambda: encode(IMAGE, "JPEG", quality=90, subsampling=2),
    "progressive": lambda: encode(IMAGE, "JPEG", progressive=True),
    "grey": lambda: encode(IMAGE.convert("L"), "JPEG"),
    "grey, progressive": lambda: encode(IMAGE.convert("L"), "JPEG", progressive=True),
    "CMYK": lambda: encode(IMAGE.convert("CMYK"), "JPEG"),
    "restart markers": lambda: encode(IMAGE, "JPEG", restart_marker_rows=1),
    "no colour transform": lambda: encode(IMAGE, "JPEG", keep_rgb=True),
    "two pictures in one file": lambda: encode(IMAGE, "MPO", save_all=True, append_images=[IMAGE.rotate(90)]),
    "junk between segments": lambda: with_junk(encode(IMAGE, "JPEG")),
}


def with_junk(data: bytes) -> bytes:
    """What the strict decoder objects to and Pillow does not."""
    return data[:2] + b"\xff\xfe\x00\x02junk" + data[2:]


def block_means(pixels: np.ndarray, by: int) -> np.ndarray:
    """What an ideal decoder gives at 1/by: the mean of each block, those at the edges of what there is of them."""
    rows, columns = (np.arange(0, side, by) for side in pixels.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(float), rows, axis=0), columns, axis=1)
    counts = np.add.reduceat(np.add.reduceat(np.ones(pixels.shape[:2]), rows, axis=0), columns, axis=1)
    return sums / counts[..., None]


@pytest.mark.parametrize("size", [24, 50, 100])
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_reduced_and_shows_the_same(name: str, size: int) -> None:
    data = KINDS[name]()
    by = {24: 8, 50: 4, 100: 2}[size]
    pixels = decode(data, spec=PreprocessingSpec(size=size, decoding="reduced"))
    assert pixels.shape == (-(-403 // by), -(-610 // by), 3)
    assert np.abs(pixels[:-1, :-1] - block_means(decode(data), by)[:-1, :-1]).mean() < 2.5


@pytest.mark.parametrize("size", [24, 50, 100])
@pytest.mark.parametrize("name", KINDS)
def test_pillow_alone_gives_the_same_pixels(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    data, spec = KINDS[name](), PreprocessingSpec(size=size, decoding="reduced")
    pixels = decode(data, spec=spec)
    monkeypatch.setattr(decoding, "_fast_jpeg", lambda *_: None)
    np.testing.assert_array_equal(decode(data, spec=spec), pixels)


def test_the_strict_decoder_objects_to_junk_so_that_pillow_is_met() -> None:
    assert decoding._fast_jpeg(KINDS["colour"](), IMAGE.size, 8) is not None
    assert decoding._fast_jpeg(KINDS["junk between segments"](), IMAGE.size, 8) is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_reduced_pictures_are_upright(mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = IMAGE.convert(mode)
    pixels = decode(encode(image, "JPEG", exif=exif), spec=SPEC)
    stored = decode(encode(image, "JPEG"), spec=SPEC)
    upright = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1), 7: np.rot90(stored.transpose(1, 0, 2), 2), 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(pixels, upright)
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_box_is_that_of_the_upright_picture_and_keeps_twice_the_target(orientation: int) -> None:
    """A wide picture that lies on its side: a part that is wide in the upright picture is tall in the stored one."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(IMAGE, "JPEG", quality=95, exif=exif)
    spec, box = PreprocessingSpec(size=24, resize="squash", decoding="reduced"), (0.1, 0.2, 0.8, 0.25)
    pixels = decode(data, spec=spec, box=box)
    # 403 pixels wide and 610 high when upright: a quarter of the height is 152 pixels, and 48 are wanted.
    assert pixels.shape[:2] == ((305, 202) if orientation == 6 else (202, 305))
    rows, columns = cut(pixels, box).shape[:2]
    assert min(rows, columns) >= 48
    full = preprocess(data, PreprocessingSpec(size=24, resize="squash", decoding="full"), box=box)
    assert np.abs(preprocess(data, spec, box=box).astype(int) - full).mean() < 1.5


def test_nothing_is_reduced_without_a_spec_or_for_another_format() -> None:
    data = KINDS["colour"]()
    assert decode(data).shape == PICTURE.shape
    full = PreprocessingSpec(size=24, decoding="full")
    np.testing.assert_array_equal(decode(data, spec=full), decode(data))
    np.testing.assert_array_equal(preprocess(data, full), resize(decode(data), full))
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        np.testing.assert_array_equal(decode(encode(IMAGE, form, **options), spec=SPEC), PICTURE)


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [24, 50, 100])
def test_what_the_encoder_sees_is_nearly_the_same(mode: str, size: int) -> None:
    data = encode(cv2.resize(PICTURE, (1220, 806), interpolation=cv2.INTER_CUBIC), "JPEG", quality=90)
    reduced, full = (
        preprocess(data, PreprocessingSpec(size=size, resize=mode, decoding=decoding)).astype(int)
        for decoding in ("reduced", "full")
    )
    assert 0 < np.abs(reduced - full).mean() < 1.5


def lossless_jpeg(width: int, height: int, value: int) -> bytes:
    """A grey JPEG without blocks (process 14): each pixel is predicted from its neighbour, which is right."""

    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content

    # Codes: 0 for no difference, 10 for one of six bits.
    head = segment(0xC3, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    table = segment(0xC4, b"\0" + bytes([1, 1, *[0] * 14]) + b"\0\6")
    bits = "10" + format(value - 128, "06b") + "0" * (width * height - 1)
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + head + table + segment(0xDA, b"\1\1\0\1\0\0") + coded + b"\xff\xd9"


def test_a_lossless_jpeg_is_decoded_in_full() -> None:
    """It has no blocks that could be reduced; Pillow fails where it is asked to."""
    data = lossless_jpeg(640, 480, 178)
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (80, 60))
        with pytest.raises(OSError, match="broken data stream"):
            image.load()
    pixels = decode(data, spec=SPEC)
    assert pixels.shape == (480, 640, 3)
    assert (pixels == 178).all()


@pytest.mark.parametrize("part", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("name", ["colour", "progressive", "grey", "CMYK"])
def test_truncated_files_are_refused_at_any_scale(name: str, part: float) -> None:
    data = KINDS[name]()
    with pytest.raises(CorruptImageError):
        decode(data[: int(len(data) * part)], spec=SPEC)


def test_the_limit_counts_the_pixels_of_the_file() -> None:
    with pytest.raises(ImageTooLargeError, match="610 x 403 pixels; at most 100,000"):
        decode(KINDS["colour"](), spec=SPEC, max_pixels=100_000)
    with pytest.raises(ImageTooLargeError):
        preprocess(KINDS["colour"](), SPEC, max_pixels=100_000)


def test_a_limit_above_pillows_own_is_kept() -> None:
    """Pillow warns from 89 megapixels on, and refuses from 179 on."""
    data = encode(Image.new("1", (30_000, 6_000)), "PNG")
    assert decode(data, max_pixels=180_000_000).shape == (6_000, 30_000, 3)
