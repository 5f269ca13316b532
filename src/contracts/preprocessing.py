"""From image bytes to the pixels that an encoder takes: the one implementation for training, indexing and serving.

Two libraries resize the same photo to visibly different pixels (bilinear without antialiasing moves embeddings by 0.04
to 0.06 in cosine), so decoding and resizing happen here and nowhere else. Normalisation is the encoder's own: it is
part of the exported graph, whose input is uint8 NHWC.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, cast

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from src.contracts.errors import ConfigError
from src.contracts.image_errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedImageError
from src.contracts.image_structure import MAX_SCANNED_PIXELS, check_structure

__all__ = [
    "CorruptImageError",
    "ImageError",
    "ImageTooLargeError",
    "MAX_PIXELS",
    "MAX_SIDE",
    "PreprocessingSpec",
    "UnsupportedImageError",
    "decode",
    "preprocess",
    "resize",
    "seen_area",
]

MAX_PIXELS = 64_000_000
"""Images of more pixels are refused before they are decoded: 64 megapixels take 192 MB as RGB."""

MAX_SIDE = 32_767
"""Longer sides are refused too: the memory that resizing one line takes grows with its length."""

# MPO (several JPEGs in one file) comes with JPEG; Pillow has no opener of that name and would raise KeyError.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_WHITE = (255, 255, 255)
_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MODES = ("crop", "pad", "squash")
_ORIENTATION = 0x0112
_STRIP = 1_000_000  # pixels


@dataclass(frozen=True)
class PreprocessingSpec:
    """How pixels are made from a decoded image. Travels with the weights; `hash` names it.

    Attributes:
        size: side of the square output, in pixels.
        resize: `crop` scales the shorter side and takes the centre, `pad` scales the longer side and pads with white,
            `squash` ignores the aspect ratio.
        crop_fraction: with `crop`, the part of the shorter side that is kept, in (0, 1].
        interpolation: `bilinear`, `bicubic` or `lanczos`, always antialiased.
        mean: per-channel RGB mean on the 0..1 scale, subtracted inside the encoder.
        std: per-channel RGB standard deviation on the 0..1 scale.
    """

    size: int = 224
    resize: str = "crop"
    crop_fraction: float = 1.0
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        # Numbers of one value must hash alike, whether they were written 1 or 1.0.
        object.__setattr__(self, "crop_fraction", float(self.crop_fraction))
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        problems = []
        if not 8 <= self.size <= 2048:
            problems.append(f"`preprocessing.size={self.size}`: must lie in 8..2048")
        if self.resize not in _MODES:
            problems.append(f"`preprocessing.resize={self.resize}`: must be one of {', '.join(_MODES)}")
        if not 0 < self.crop_fraction <= 1:
            problems.append(f"`preprocessing.crop_fraction={self.crop_fraction}`: must lie in (0, 1]")
        if self.interpolation not in _FILTERS:
            problems.append(f"`preprocessing.interpolation={self.interpolation}`: one of {', '.join(_FILTERS)}")
        numbers = (*self.mean, *self.std)
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite(numbers).all() or min(self.std) <= 0:
            problems.append("`preprocessing.mean`, `preprocessing.std`: three finite numbers each, std above 0")
        if problems:
            raise ConfigError("\n".join(problems))

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the spec as canonical JSON."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """The spec and its hash, for a manifest or a checkpoint."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "hash": self.hash}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PreprocessingSpec":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: an unknown or missing field, or a hash that does not belong to the fields.
        """
        values = {name: value for name, value in data.items() if name != "hash"}
        names = {field.name for field in fields(cls)}
        if values.keys() != names:
            raise ConfigError(f"preprocessing spec: fields {sorted(values.keys() ^ names)} are unknown or missing")
        spec = cls(**values)
        if "hash" in data and data["hash"] != spec.hash:
            raise ConfigError(f"preprocessing spec: its fields hash to {spec.hash}, but it names {data['hash']}")
        return spec


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image file to upright RGB.

    The EXIF orientation is applied, transparency is flattened on white, palettes, CMYK, 1-bit and 16-bit images become
    8-bit RGB, an animation gives its first frame. Colour profiles are not applied.

    Args:
        data: the bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF file.
        max_pixels: larger images are refused on the strength of their header.

    Returns:
        uint8 array of shape (height, width, 3).

    Raises:
        UnsupportedImageError: none of these formats.
        ImageTooLargeError: more than `max_pixels` pixels, a side above `MAX_SIDE`, or too many passes over the pixels.
        CorruptImageError: truncated or damaged, or of more segments and tags than a picture has use for.
    """
    if not data:
        raise UnsupportedImageError("the image is empty (0 bytes)")
    check_structure(data)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image, max_pixels)
            pixels = _fast_jpeg(data) if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") else None
            if pixels is None:
                pixels = _rgb(image)
            # Read last: Pillow turns a TIFF as it loads it, and then removes the tag.
            return _upright(pixels, image.getexif().get(_ORIENTATION, 1))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise UnsupportedImageError("not a JPEG, PNG, WebP, GIF, BMP or TIFF image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError(f"at most {max_pixels:,} pixels are read") from None
    # Damaged files make decoders raise nearly anything: OSError, SyntaxError, struct.error, IndexError, zlib.error ...
    except Exception as error:
        raise CorruptImageError(f"the image is truncated or damaged ({error})") from error


def resize(pixels: np.ndarray, spec: PreprocessingSpec) -> np.ndarray:
    """Resize decoded pixels to what the encoder takes, antialiased.

    Args:
        pixels: uint8 array of shape (height, width, 3).
        spec: the size and the way of resizing.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    method = _FILTERS[spec.interpolation]
    if spec.resize == "crop":
        side = min(width, height) * spec.crop_fraction
        left, top = (width - side) / 2, (height - side) / 2
        image = image.resize((spec.size, spec.size), method, box=(left, top, left + side, top + side))
    elif spec.resize == "pad":
        # Not ImageOps.pad: of a very long image it leaves no pixel at all.
        inner_width, inner_height = (max(1, round(side / max(width, height) * spec.size)) for side in (width, height))
        inner = image.resize((inner_width, inner_height), method)
        image = Image.new("RGB", (spec.size, spec.size), _WHITE)
        image.paste(inner, (round((spec.size - inner_width) / 2), round((spec.size - inner_height) / 2)))
    else:
        image = image.resize((spec.size, spec.size), method)
    return np.asarray(image)


def seen_area(spec: PreprocessingSpec, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of an image that `resize` shows to the encoder.

    Args:
        spec: the way of resizing.
        width: of the decoded image, in pixels.
        height: likewise.

    Returns:
        Left edge, upper edge, width and height, in fractions of the image; with `pad` it is larger than the image.
    """
    if spec.resize == "squash":
        return 0.0, 0.0, 1.0, 1.0
    side = min(width, height) * spec.crop_fraction if spec.resize == "crop" else max(width, height)
    return (1 - side / width) / 2, (1 - side / height) / 2, side / width, side / height


def preprocess(data: bytes, spec: PreprocessingSpec, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`decode` and `resize`: bytes to uint8 pixels of shape (size, size, 3)."""
    return resize(decode(data, max_pixels=max_pixels), spec)


def _fast_jpeg(data: bytes) -> np.ndarray | None:
    """The pixels of a JPEG, or None where the strict decoder objects and Pillow must judge."""
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True))
    except ValueError:
        return None


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply EXIF orientation 1 to 8 (CIPA DC-008, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLargeError(f"{width} x {height} pixels; at most {max_pixels:,} are read")
    if max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(f"{width} x {height} pixels; no side may have more than {MAX_SIDE:,}")
    if isinstance(image, TiffImageFile):
        _check_tiff(image, max_pixels)


def _check_tiff(image: TiffImageFile, max_pixels: int) -> None:
    # A tile is held whole, however small the picture.
    tile = [int(image.tag_v2.get(tag, 0)) for tag in (TILEWIDTH, TILELENGTH)]
    if tile[0] * tile[1] > max_pixels:
        raise ImageTooLargeError(f"tiles of {tile[0]} x {tile[1]} pixels; at most {max_pixels:,} are read")
    # libtiff itself allows a hundred scans, which are not looked for here.
    most = MAX_SCANNED_PIXELS // 100
    if "jpeg" in str(image.info.get("compression")) and image.width * image.height > most:
        raise ImageTooLargeError(
            f"{image.width} x {image.height} pixels; of a TIFF compressed as JPEG at most {most:,} are read"
        )


def _rgb(image: Image.Image) -> np.ndarray:
    """A decoded image's pixels, converted strip by strip: the whole at once would be in memory several times."""
    image.load()
    width, height = image.size
    transparent = image.has_transparency_data
    top = _top(image)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // max(1, width))
    for y in range(0, height, rows):
        strip = image.crop((0, y, width, min(y + rows, height)))
        pixels[y : y + rows] = np.asarray(_strip_to_rgb(strip, top=top, transparent=transparent))
    return pixels


def _strip_to_rgb(image: Image.Image, *, top: float | None, transparent: bool) -> Image.Image:
    if top is not None:
        values = np.asarray(image, dtype=np.float64)
        image = Image.fromarray(np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8))
    if transparent:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*_WHITE, 255)), image).convert("RGB")
    return image.convert("RGB")


def _top(image: Image.Image) -> float | None:
    """The value that becomes 255, of an image of more than 8 bits: floating point is taken as 0..1 where it fits."""
    if image.mode == "F":
        low, high = cast(tuple[float, float], image.getextrema())
        return 1.0 if max(low, high) <= 1 else 65535.0
    return 65535.0 if image.mode.startswith("I") else None
