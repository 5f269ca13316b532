"""Golden images: whether this machine makes the pixels and the embeddings that the exporting machine made.

A bundle holds a few generated image files, the hash of the pixels that each gave, and the embeddings of these. Another
version of a decoder, a runtime that computes differently or a GPU engine that went wrong shows here, before it serves.
"""

import hashlib
import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from src.contracts.errors import BundleError
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.export.runtime.cosines import centred_cosine, cosines

__all__ = ["Golden", "golden_images", "read_golden", "write_golden"]

_MOST = 2048
_SAME = 1e-6
"""Cosine distance below which embeddings are the same: the centred cosine of a collapsed encoder is noise."""


@dataclass(frozen=True)
class Golden:
    """What `golden.npz` holds.

    Attributes:
        images: the bytes of image files.
        hashes: of the pixels that they give, 16 hex digits each.
        embeddings: float32 of shape (images, dim).
        norms: their norms before L2, float32 of shape (images,); NaN where the graph gives none.
    """

    images: list[bytes]
    hashes: list[str]
    embeddings: np.ndarray
    norms: np.ndarray

    def pixels(self, spec: PreprocessingSpec) -> np.ndarray:
        """The images as this machine decodes and resizes them: uint8 of shape (images, size, size, 3).

        Raises:
            BundleError: a pixel differs from the exporting machine's.
        """
        pixels = np.stack([preprocess(data, spec) for data in self.images])
        for number, (image, expected) in enumerate(zip(pixels, self.hashes, strict=True)):
            if _hash(image) != expected:
                raise BundleError(
                    f"golden image {number}: its pixels hash to {_hash(image)} here, to {expected} where the bundle "
                    "was exported; install the versions of Pillow and simplejpeg that the manifest names"
                )
        return pixels

    def centred_cosine(self, embeddings: np.ndarray) -> float:
        """How near embeddings of the pixels are to the stored ones: smallest centred cosine, NaN for NaN."""
        plain = cosines(embeddings, self.embeddings).min()
        return centred_cosine(embeddings, self.embeddings) if 1 - plain > _SAME else float(plain)


def write_golden(
    path: Path, spec: PreprocessingSpec, embed: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write the golden images, with their pixels' hashes; `embed` is `EncoderRuntime.embed_with_norms`."""
    images = golden_images(spec)
    pixels = np.stack([preprocess(data, spec) for data in images])
    arrays = {f"image_{number}": np.frombuffer(data, np.uint8) for number, data in enumerate(images)}
    hashes = np.array([_hash(image) for image in pixels])
    embeddings, norms = embed(pixels)
    np.savez(path, allow_pickle=False, pixels_hash=hashes, embeddings=embeddings, norms=norms, **arrays)


def read_golden(path: Path) -> Golden:
    """Read what `write_golden` wrote; raises `BundleError` where it is not that."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            hashes = [str(value) for value in stored["pixels_hash"]]
            images = [stored[f"image_{number}"].tobytes() for number in range(len(hashes))]
            none = np.full(len(hashes), np.nan, np.float32)
            norms = stored["norms"] if "norms" in stored.files else none  # Bundles of before 2026-12 have none.
            return Golden(images, hashes, stored["embeddings"], norms)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: not readable golden images ({error})") from None


def golden_images(spec: PreprocessingSpec) -> list[bytes]:
    """Files of many kinds: odd sizes, fine patterns that alias, EXIF rotation, transparency, grey, tiny, long.

    Where JPEGs are decoded at a reduced scale, two are large enough for 1/2 and 1/4: a decoder has code of its own for
    each. An eighth needs none but the blocks' means.
    """
    rows, columns = np.mgrid[0:600, 0:800]
    gradient = np.stack([rows * 255 // 599, columns * 255 // 799, (rows + columns) % 256], axis=2).astype(np.uint8)
    rings = (127.5 + 127.5 * np.sin(np.hypot(rows - 300, columns - 400) ** 2 / 900)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    squares = np.where((rows // 3 + columns // 3) % 2, 230, 20).astype(np.uint8)[:200, :300]
    sideways = Image.Exif()
    sideways[0x0112] = 6
    cut = np.dstack([gradient[:256, :256], np.where(np.hypot(rows - 128, columns - 128) < 100, 255, 0)[:256, :256]])
    return [
        _encode(gradient, "JPEG", quality=90),
        _encode(rings[:300, :400], "JPEG", quality=85),
        _encode(noise, "PNG"),
        _encode(squares, "PNG"),
        _encode(gradient[:300], "JPEG", quality=75, exif=sideways),
        _encode(cut.astype(np.uint8), "PNG"),
        _encode(noise[:7, :5], "PNG"),
        _encode(gradient[:40], "JPEG", quality=95, subsampling=0),
        *(_large(side) for side in _reducible_sides(spec)),
    ]


def _reducible_sides(spec: PreprocessingSpec) -> list[int]:
    """Sides of square pictures that are decoded at 1/2 and 1/4, in pixels; none that would be slow to decode."""
    sides = [math.ceil(2 * divisor * spec.size / spec.crop_fraction) for divisor in (2, 4)]
    return [side for side in sides if side <= _MOST] if spec.decoding == "reduced" else []


def _large(side: int) -> bytes:
    rows, columns = (places / side for places in np.ogrid[0:side, 0:side])
    rings = (127.5 + 127.5 * np.sin(100 * ((rows - 0.4) ** 2 + (columns - 0.5) ** 2))).astype(np.uint8)
    return _encode(np.stack([rings, rings.T, rings[::-1]], axis=2), "JPEG", quality=30)


def _encode(pixels: np.ndarray, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def _hash(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]
