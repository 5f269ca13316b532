"""Photos to search with, as requests that are ready to be sent."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["Build", "photo_requests", "read_photos"]

Build = Callable[[int], bytes]
"""From a request's number to its bytes."""

_BOUNDARY = b"lookalike-boundary"
_SIDE = 348
"""Pixels: what a generated photo shares with the grocery set's."""


def read_photos(folder: Path | None, count: int, *, seed: int = 0) -> list[bytes]:
    """JPEGs of a folder, picked at random but always the same, or generated ones.

    Args:
        folder: searched with everything below it; None generates.
        count: photos wanted; fewer where the folder has fewer.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    if folder is None:
        return [_generated(rng) for _ in range(count)]
    found = sorted(folder.rglob("*.jpg"))
    if not found:
        raise SystemExit(f"{folder} has no *.jpg; name another folder, or leave it out for generated photos")
    return [found[row].read_bytes() for row in rng.permutation(len(found))[:count]]


def photo_requests(
    photos: list[bytes],
    *,
    line: Callable[[int], str] = lambda number: "POST /v1/search?k=10",
    headers: str = "",
    unique: bool = True,
) -> Build:
    """Requests that carry a photo; number n sends photo n modulo their number.

    Args:
        photos: JPEGs.
        line: method and path of each.
        headers: further ones, each with its line's end.
        unique: writes the number into a comment of the JPEG. The pixels stay, and no cache has seen the bytes.
    """
    made = []
    for photo in photos:
        # SOI, then a comment segment of eight bytes (ITU T.81, B.2.4.5).
        opening = photo[:2] + b"\xff\xfe\x00\x0a" if unique else photo[:2]
        before = (
            b"--" + _BOUNDARY + b'\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n" + opening
        )
        after = photo[2:] + b"\r\n--" + _BOUNDARY + b"--\r\n"
        length = len(before) + 8 * unique + len(after)
        head = (
            f" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n{headers}"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY.decode()}\r\n\r\n"
        ).encode()
        made.append((head + before, after))

    def build(number: int) -> bytes:
        before, after = made[number % len(made)]
        return b"".join((line(number).encode(), before, number.to_bytes(8, "big") if unique else b"", after))

    return build


def _generated(rng: np.random.Generator) -> bytes:
    """Coloured blocks, smoothed, with noise: about as many bytes as a photo of that size."""
    blocks = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(blocks.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), np.float32)
    noisy = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
