"""An embedding as bytes for Redis, with a checksum by which foreign bytes are recognised."""

import struct
import zlib

import numpy as np

__all__ = ["pack_embedding", "unpack_embedding"]

_MAGIC = b"LKE1"
_HEAD = struct.Struct("<4sII")
_NORM_TOLERANCE = 0.01


def pack_embedding(key: bytes, vector: np.ndarray) -> bytes:
    """Magic, dimension, CRC-32 of key and values, then the values as little-endian float16: 12 + 2 x dim bytes.

    The vector is float32 of shape (dim,), L2-normalised. Since the checksum covers the key, the value is refused under
    another one.
    """
    values = np.ascontiguousarray(vector, dtype="<f2").tobytes()
    return _HEAD.pack(_MAGIC, len(vector), zlib.crc32(values, zlib.crc32(key))) + values


def unpack_embedding(key: bytes, data: object) -> np.ndarray | None:
    """The inverse of `pack_embedding`; None for bytes that are no embedding of this key.

    The vector, float32 of shape (dim,), is normalised again, since float16 keeps a value to one part in 2,048.
    """
    if not isinstance(data, bytes) or len(data) < _HEAD.size:
        return None
    magic, dim, checksum = _HEAD.unpack_from(data)
    values = data[_HEAD.size :]
    if magic != _MAGIC or len(values) != 2 * dim or checksum != zlib.crc32(values, zlib.crc32(key)):
        return None
    vector = np.frombuffer(values, dtype="<f2").astype(np.float32)
    norm = float(np.linalg.norm(vector))
    if not abs(norm - 1) <= _NORM_TOLERANCE:  # True for NaN and infinity as well.
        return None
    return vector / np.float32(norm)
