"""An embedding as bytes that tell whether they are one."""

import struct
import zlib

import numpy as np

__all__ = ["ForeignValueError", "pack_embedding", "unpack_embedding"]

_MAGIC = b"LKE1"
_HEAD = struct.Struct("<4sII")
_NORM_TOLERANCE = 0.01


class ForeignValueError(Exception):
    """Bytes that are no embedding of this image, whoever wrote them."""


def pack_embedding(key: bytes, vector: np.ndarray) -> bytes:
    """Magic, dim, checksum, then the numbers as little-endian float16.

    Args:
        key: what it is stored under; the checksum covers it, so that a value is no good under another key.
        vector: float32 array of shape (dim,), L2-normalised.

    Returns:
        12 + 2 * dim bytes.
    """
    numbers = np.ascontiguousarray(vector, dtype="<f2").tobytes()
    return _HEAD.pack(_MAGIC, len(vector), zlib.crc32(numbers, zlib.crc32(key))) + numbers


def unpack_embedding(key: bytes, data: object) -> np.ndarray:
    """The inverse of `pack_embedding`.

    Args:
        key: what it was stored under.
        data: what was found there.

    Returns:
        float32 array of shape (dim,), normalised anew: float16 keeps each number to one part in 2,048.

    Raises:
        ForeignValueError: another type, length, magic or checksum, numbers that are not finite, a norm far from 1.
    """
    if not isinstance(data, bytes) or len(data) < _HEAD.size:
        raise ForeignValueError
    magic, dim, checksum = _HEAD.unpack_from(data)
    numbers = data[_HEAD.size :]
    if magic != _MAGIC or len(numbers) != 2 * dim or checksum != zlib.crc32(numbers, zlib.crc32(key)):
        raise ForeignValueError
    vector = np.frombuffer(numbers, dtype="<f2").astype(np.float32)
    norm = float(np.linalg.norm(vector))
    if not abs(norm - 1) <= _NORM_TOLERANCE:  # NaN and infinity come out here as well.
        raise ForeignValueError
    return vector / np.float32(norm)
