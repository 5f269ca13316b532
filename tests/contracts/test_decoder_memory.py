"""What decoding takes is measured, and lies below what the header promises, but not far below."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks import decoding_memory
from benchmarks.decoding_memory import SPEC
from benchmarks.serving.bombs import BOMBS
from src.contracts.image_header import decoding_bytes, read_header
from tests.pictures import encode

WIDTH, HEIGHT = 1800, 1200
MOST = 3.5
"""The estimate, in measured peaks."""

PICTURE = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8),
    (WIDTH, HEIGHT),
    interpolation=cv2.INTER_LINEAR,
)
IMAGE = Image.fromarray(PICTURE)
SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6


@cache
def alpha() -> Image.Image:
    image = IMAGE.convert("RGBA")
    image.putalpha(Image.fromarray(PICTURE[..., 1]))
    return image


def sixteen() -> Image.Image:
    return Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257)


def floating() -> Image.Image:
    return Image.fromarray(PICTURE[..., 0].astype(np.float32) / 255)


@cache
def cmyk() -> Image.Image:
    return IMAGE.convert("CMYK")


@cache
def palette() -> Image.Image:
    return IMAGE.convert("P", palette=Image.Palette.ADAPTIVE)


def deep_png(channels: np.ndarray) -> bytes:
    deep = channels.astype(np.uint16) * 257
    return cv2.imencode(".png", deep, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def one_scan_a_component() -> bytes:
    """A sequential JPEG whose components come one after the other: a grey one's scan, three times."""
    grey = encode(IMAGE.convert("L"), "JPEG")
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    end = frame + 2 + struct.unpack_from(">H", grey, frame + 2)[0]
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    head = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, HEIGHT, WIDTH, 3) + components
    start = scan + 2 + struct.unpack_from(">H", grey, scan + 2)[0]
    scans = b"".join(b"\xff\xda\0\x08\1" + bytes([number]) + b"\0\0\x3f\0" + grey[start:-2] for number in (1, 2, 3))
    return grey[:frame] + head + grey[end:scan] + scans + b"\xff\xd9"


def with_junk(data: bytes) -> bytes:
    return data[:2] + b"\xff\xfe\0\2junk" + data[2:]


def with_texts(data: bytes) -> bytes:
    chunks = b""
    for number in range(60):
        text = b"zTXt" + b"%d\0\0" % number + zlib.compress(bytes(1_000_000), 9)
        chunks += struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return data[:33] + chunks + data[33:]


def tiff(image: Image.Image, compression: str | None, **options: object) -> bytes:
    return encode(image, "TIFF", compression=compression, **options)


FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encode(IMAGE, "JPEG"),
    "jpeg, not subsampled": lambda: encode(IMAGE, "JPEG", subsampling=0),
    "jpeg, on its side": lambda: encode(IMAGE, "JPEG", exif=SIDEWAYS),
    "jpeg, grey": lambda: encode(IMAGE.convert("L"), "JPEG"),
    "jpeg, grey, on its side": lambda: encode(IMAGE.convert("L"), "JPEG", exif=SIDEWAYS),
    "jpeg, progressive": lambda: encode(IMAGE, "JPEG", progressive=True),
    "jpeg, progressive, not subsampled": lambda: encode(IMAGE, "JPEG", progressive=True, subsampling=0),
    "jpeg, a scan for each component": one_scan_a_component,
    "jpeg, CMYK": lambda: encode(cmyk(), "JPEG"),
    "jpeg, CMYK, progressive": lambda: encode(cmyk(), "JPEG", progressive=True),
    "jpeg that the strict decoder refuses": lambda: with_junk(encode(IMAGE, "JPEG")),
    "png": lambda: encode(IMAGE, "PNG", compress_level=1),
    "png, on its side": lambda: encode(IMAGE, "PNG", compress_level=1, exif=SIDEWAYS),
    "png, grey": lambda: encode(IMAGE.convert("L"), "PNG", compress_level=1),
    "png, grey, alpha": lambda: encode(alpha().convert("LA"), "PNG", compress_level=1),
    "png, alpha": lambda: encode(alpha(), "PNG", compress_level=1),
    "png, palette": lambda: encode(palette(), "PNG"),
    "png, transparent palette": lambda: encode(palette(), "PNG", transparency=bytes(range(256))),
    "png, transparent colour": lambda: encode(IMAGE, "PNG", compress_level=1, transparency=(1, 2, 3)),
    "png, 1 bit": lambda: encode(IMAGE.convert("1"), "PNG"),
    "png, 16 bit grey": lambda: encode(sixteen(), "PNG", compress_level=1),
    "png, 16 bit colour": lambda: deep_png(PICTURE),
    "png, 16 bit alpha": lambda: deep_png(np.asarray(alpha())),
    "png, texts that inflate": lambda: with_texts(encode(IMAGE, "PNG", compress_level=1)),
    "webp": lambda: encode(IMAGE, "WEBP", method=0),
    "webp, on its side": lambda: encode(IMAGE, "WEBP", method=0, exif=SIDEWAYS),
    "webp, alpha": lambda: encode(alpha(), "WEBP", method=0),
    "webp, lossless": lambda: encode(IMAGE, "WEBP", lossless=True, method=0, quality=0),
    "webp, lossless, alpha": lambda: encode(alpha(), "WEBP", lossless=True, method=0, quality=0),
    "webp, moving": lambda: encode(IMAGE, "WEBP", save_all=True, append_images=[IMAGE.rotate(180)], method=0),
    "webp of many tables": BOMBS["webp, 65,536 sets of Huffman tables"],
    "gif": lambda: encode(palette(), "GIF"),
    "gif, transparent": lambda: encode(palette(), "GIF", transparency=3),
    "gif, moving": lambda: encode(palette(), "GIF", save_all=True, append_images=[palette().rotate(180)]),
    "bmp": lambda: encode(IMAGE, "BMP"),
    "bmp, palette": lambda: encode(palette(), "BMP"),
    "bmp, 1 bit": lambda: encode(IMAGE.convert("1"), "BMP"),
    "tiff": lambda: tiff(IMAGE, None),
    "tiff, on its side": lambda: tiff(IMAGE, None, tiffinfo={0x0112: 6}),
    "tiff, float": lambda: tiff(floating(), None),
    "tiff, float, on its side": lambda: tiff(floating(), "tiff_lzw", tiffinfo={0x0112: 6}),
    "tiff, 16 bit": lambda: tiff(sixteen(), "tiff_lzw"),
    "tiff, CMYK": lambda: tiff(cmyk(), "tiff_adobe_deflate"),
    "tiff, alpha, one strip": lambda: tiff(alpha(), "tiff_adobe_deflate", strip_size=10**9),
    "tiff, one strip": lambda: tiff(IMAGE, "tiff_lzw", strip_size=10**9),
    "tiff, packbits": lambda: tiff(IMAGE, "packbits"),
    "tiff, lzma, one strip": lambda: tiff(IMAGE, "lzma", strip_size=10**9),
    "tiff, zstandard, one strip": lambda: tiff(IMAGE, "zstd", strip_size=10**9),
    "tiff, jpeg": lambda: tiff(IMAGE, "jpeg"),
    "tiff, fax": lambda: tiff(IMAGE.convert("1"), "group4"),
    "tiff, palette": lambda: tiff(palette(), "tiff_lzw"),
}


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, int, int]]:
    """Each file, and the bytes that `decode` and `preprocess` take of it."""
    folder = tmp_path_factory.mktemp("files")
    paths = {}
    for number, (name, make) in enumerate(FILES.items()):
        paths[name] = folder / str(number)
        paths[name].write_bytes(make())
    found = decoding_memory.peaks(list(paths.values()))
    return {name: (path, *taken) for (name, path), taken in zip(paths.items(), found, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_the_peak_lies_below_the_estimate_but_not_far_below(name: str, peaks: dict) -> None:
    path, decoding, preprocessing = peaks[name]
    header = read_header(path.read_bytes())
    for measured, estimate in (
        (decoding, decoding_bytes(header)),
        (preprocessing, decoding_bytes(header, spec=SPEC)),
    ):
        assert measured > 0
        # Those tables have room for more symbols than they have.
        most = 4 if name == "webp of many tables" else MOST
        assert measured <= estimate <= most * measured, f"{measured / 1e6:.1f} of {estimate / 1e6:.1f} MB"


@pytest.mark.slow
def test_webp_takes_at_most_eight_bytes_a_pixel(peaks: dict) -> None:
    """Pillow's own reader takes 16. What does not grow with the picture is left out."""
    for name in FILES:
        if name.startswith("webp") and name != "webp of many tables":
            assert peaks[name][1] <= 8 * WIDTH * HEIGHT + 4_000_000, name
