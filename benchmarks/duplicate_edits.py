"""Edits of pictures as copies of them have, and what is known of each edited file."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from src.catalog.duplicates.fingerprint import fingerprint_of
from src.catalog.duplicates.perceptual_hash import dihedral_hashes
from src.catalog.reduced_picture import reduced_picture
from src.contracts.preprocessing import PreprocessingSpec, preprocess

__all__ = ["EDITS", "Described", "described"]

Edit = Callable[[Image.Image], bytes]


def _saved(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": 85} if form == "JPEG" and not options else options))
    return buffer.getvalue()


def _resized(image: Image.Image, scale: float) -> Image.Image:
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _cropped(image: Image.Image, share: float) -> bytes:
    """Without this share of its surface; the middle is left."""
    keep = (1 - share) ** 0.5
    x, y = image.width * (1 - keep) / 2, image.height * (1 - keep) / 2
    return _saved(image.crop((round(x), round(y), round(image.width - x), round(image.height - y))))


def _watermarked(image: Image.Image) -> bytes:
    marked = image.convert("RGBA")
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(image.height // 8)
    for line in range(3):
        place = (image.width // 12, image.height * (1 + 3 * line) // 10)
        ImageDraw.Draw(layer).text(place, "shop.example", (255, 255, 255, 110), font)
    return _saved(Image.alpha_composite(marked, layer).convert("RGB"))


def _strong(image: Image.Image) -> bytes:
    """In the manner of Copydays' strong attacks: seen at an angle, blurred, paler, with scribble, of few colours."""
    width, height = image.size
    corners = (0.06 * width, 0.03 * height, 0, height, width, 0.94 * height, 0.95 * width, 0)
    seen = image.transform(image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    seen = ImageEnhance.Contrast(seen.filter(ImageFilter.GaussianBlur(max(width, height) / 200))).enhance(0.7)
    draw = ImageDraw.Draw(seen)
    for number in range(3):
        draw.line([(0, height * number // 3), (width, height * (number + 1) // 4)], (20, 20, 160), max(2, width // 80))
    return _saved(seen, quality=30)


def _of(function: Callable[..., Image.Image], *arguments: object) -> Edit:
    return lambda image: _saved(function(image, *arguments))


EDITS: dict[str, Edit] = {
    "the same as PNG": lambda image: _saved(image, "PNG"),
    "the same as WebP": lambda image: _saved(image, "WEBP", quality=80),
    **{f"scaled to {scale:g}": _of(_resized, scale) for scale in (2, 0.5, 0.3)},
    **{f"JPEG {quality}": partial(lambda i, q: _saved(i, quality=q), q=quality) for quality in (75, 50)},
    **{
        f"Copydays: 1/16 of the pixels, JPEG {quality}": partial(
            lambda i, q: _saved(_resized(i, 0.25), quality=q), q=quality
        )
        for quality in (75, 50, 30, 20, 15, 10, 8, 5, 3)
    },
    "brighter by 20 %": lambda image: _saved(ImageEnhance.Brightness(image).enhance(1.2)),
    "contrast at 80 %": lambda image: _saved(ImageEnhance.Contrast(image).enhance(0.8)),
    **{
        f"cropped by {share:.0%}": partial(_cropped, share=share)
        for share in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    },
    "Copydays: strong": _strong,
    **{
        f"turned by {angle} degrees": _of(lambda i, a: i.rotate(a, Image.Resampling.BICUBIC), angle)
        for angle in (2, 5, 25)
    },
    **{
        f"white border of {share:.0%}": _of(lambda i, s: ImageOps.expand(i, int(i.width * s), "white"), share)
        for share in (0.05, 0.1)
    },
    "watermark": _watermarked,
    "mirrored": _of(ImageOps.mirror),
    "upside down": _of(ImageOps.flip),
    **{f"turned by {angle}": _of(lambda i, a: i.rotate(a, expand=True), angle) for angle in (90, 180, 270)},
    "transposed": _of(lambda i: i.transpose(Image.Transpose.TRANSPOSE)),
    "transversed": _of(lambda i: i.transpose(Image.Transpose.TRANSVERSE)),
    "palette of 64 colours": lambda image: _saved(image.quantize(64), "PNG"),
    "CMYK": lambda image: _saved(image.convert("CMYK"), quality=90),
    "with an alpha channel": lambda image: _saved(image.convert("RGBA"), "PNG"),
    "black and white, 1 bit": lambda image: _saved(image.convert("1"), "PNG"),
    "grey": lambda image: _saved(image.convert("L")),
    "red and blue exchanged (another product)": lambda image: _saved(
        Image.merge("RGB", [image.getchannel(name) for name in "BGR"])
    ),
}


@dataclass(frozen=True)
class Described:
    """What is known of one file: fingerprint, the eight views' hashes, phash, pixels for the encoder."""

    print: np.ndarray
    views: np.ndarray
    phash: np.ndarray
    pixels: np.ndarray


def described(path: str, size: int) -> list[Described]:
    """The picture, and its edits."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    return [_describe(data, size) for data in (Path(path).read_bytes(), *(edit(image) for edit in EDITS.values()))]


def _describe(data: bytes, size: int) -> Described:
    pixels = reduced_picture(data)
    spec = PreprocessingSpec(size=size, resize="squash")
    phash = np.packbits(imagehash.phash(Image.fromarray(pixels)).hash)
    return Described(fingerprint_of(pixels, data), dihedral_hashes(pixels), phash, preprocess(data, spec))
