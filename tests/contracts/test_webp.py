"""WebP files by libwebp alone: the pixels that Pillow gives, of every kind of file."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from src.contracts import decoding
from src.contracts.decoding import decode
from src.contracts.image_errors import CorruptImageError, ImageError
from src.contracts.webp import has_libwebp, is_webp, read_webp
from tests.pictures import encode, smooth_picture

IMAGE = Image.fromarray(smooth_picture(101, 67, seed=1))
ALPHA = Image.fromarray(np.dstack([smooth_picture(101, 67, seed=1), smooth_picture(101, 67, seed=2)[..., 0]]))
EXIF = Image.Exif()
EXIF[0x0112] = 6


def small_part() -> Image.Image:
    """Transparent, but for a part."""
    image = Image.new("RGBA", ALPHA.size, (0, 0, 0, 0))
    image.paste(ALPHA.crop((11, 20, 41, 70)), (11, 20))
    return image


def animation(*frames: Image.Image, **options: object) -> bytes:
    return encode(frames[0], "WEBP", save_all=True, append_images=[*frames[1:]], **options)


FILES = {
    "lossy": encode(IMAGE, "WEBP"),
    "lossy, poor": encode(IMAGE, "WEBP", quality=1),
    "lossless": encode(IMAGE, "WEBP", lossless=True),
    "lossy with alpha": encode(ALPHA, "WEBP"),
    "lossy with poor alpha": encode(ALPHA, "WEBP", alpha_quality=20),
    "lossless with alpha": encode(ALPHA, "WEBP", lossless=True, exact=True),
    "of few colours": encode(IMAGE.quantize(4).convert("RGB"), "WEBP", lossless=True),
    "on its side": encode(IMAGE, "WEBP", exif=EXIF),
    "on its side, with alpha": encode(ALPHA, "WEBP", exif=EXIF),
    "with profile and XMP": encode(IMAGE, "WEBP", icc_profile=bytes(501), xmp=b"<x/>", exif=EXIF),
    "on its side by XMP": encode(IMAGE, "WEBP", xmp=b'<x tiff:Orientation="8"/>'),
    "moving": animation(IMAGE, IMAGE.rotate(90)),
    "moving, lossless": animation(IMAGE, IMAGE.rotate(90), lossless=True),
    "moving, with alpha": animation(ALPHA, ALPHA.rotate(90)),
    "moving, first a part": animation(small_part(), ALPHA),
    "moving, on its side": animation(small_part(), ALPHA, exif=EXIF, lossless=True),
    "one pixel": encode(Image.new("RGB", (1, 1), (9, 200, 3)), "WEBP", lossless=True),
}


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
    white = Image.new("RGBA", upright.size, "white")
    return np.asarray(Image.alpha_composite(white, upright.convert("RGBA")).convert("RGB"))


def test_this_pillow_lets_libwebp_be_called() -> None:
    assert has_libwebp()


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_pillows(name: str) -> None:
    np.testing.assert_array_equal(decode(FILES[name]), by_pillow(FILES[name]))


@pytest.mark.parametrize("name", FILES)
def test_without_libwebp_pillow_decodes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pixels = decode(FILES[name])
    monkeypatch.setattr(decoding, "has_libwebp", lambda: False)
    monkeypatch.setattr(decoding, "decode_webp", None)
    np.testing.assert_array_equal(decode(FILES[name]), pixels)


def test_what_the_header_says() -> None:
    lossy, lossless = read_webp(FILES["lossy"]), read_webp(FILES["lossless with alpha"])
    assert (lossy.width, lossy.height, lossy.alpha, lossy.lossless) == (67, 101, False, False)
    assert (lossless.width, lossless.height, lossless.alpha, lossless.lossless) == (67, 101, True, True)
    part = read_webp(FILES["moving, first a part"])
    assert (part.width, part.height) == (67, 101)
    left, top, width, height = part.frame
    assert left <= 11
    assert top <= 20
    assert left + width >= 41
    assert top + height >= 70
    assert width * height < 67 * 101


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place < len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def riff(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2) for kind, content in parts
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def test_frames_that_leave_the_picture_and_files_without_a_frame_are_refused() -> None:
    parts = list(chunks(FILES["moving, first a part"]))
    assert riff(parts) == FILES["moving, first a part"]
    outside = [(kind, b"\x30" + content[1:] if kind == b"ANMF" else content) for kind, content in parts]
    with pytest.raises(CorruptImageError, match="frame larger than its picture"):
        decode(riff(outside))
    with pytest.raises(CorruptImageError, match="without a frame"):
        decode(riff([part for part in parts if part[0] != b"ANMF"]))
    with pytest.raises(CorruptImageError, match="over 16,384 chunks"):
        decode(riff([*parts, *[(b"junk", b"")] * 20_000]))


@pytest.mark.parametrize("name", FILES)
def test_every_truncated_file_is_refused(name: str) -> None:
    data = FILES[name]
    for length in range(12, len(data) - 1, 37):
        with pytest.raises(ImageError):
            decode(data[:length])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.sampled_from(list(FILES.values())),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    st.booleans(),
)
def test_damaged_files_decode_or_raise_image_errors(data: bytes, changes: list, header: bool) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * (min(90, len(data)) if header else len(data)))] = value
    try:
        pixels = decode(bytes(damaged), max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)


def test_other_bytes_are_no_webp() -> None:
    assert is_webp(FILES["lossy"])
    for data in (b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", FILES["lossy"][:12]):
        assert not is_webp(data)
