"""What an embedding is stored under."""

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["EmbeddingKeys"]

_FORMAT = 1
"""Raised when the value's format or the key's meaning changes: old entries are then never found."""


class EmbeddingKeys:
    """Keys of one encoder, which begin with `prefix`: embeddings of others, or of other pixels, are never found."""

    def __init__(self, *, encoder: str, preprocessing: str, arithmetic: str) -> None:
        """Take the hashes of encoder and preprocessing, and the runtime with its precision: last digits differ."""
        parts = json.dumps([encoder, preprocessing, arithmetic]).encode()
        self.prefix = f"lookalike:embedding:{_FORMAT}:{hashlib.sha256(parts).hexdigest()[:32]}:"

    @classmethod
    def of(cls, content: Mapping[str, Any], *, encoder_file: str, arithmetic: str) -> "EmbeddingKeys":
        """The keys of a bundle, whose manifest has `content`."""
        return cls(
            encoder=content["files"][encoder_file]["sha256"],
            preprocessing=content["preprocessing"]["hash"],
            arithmetic=arithmetic,
        )

    def key(self, data: bytes, box: tuple[float, float, float, float] | None = None) -> bytes:
        """The key of an image's exact bytes, or of the part of it in a box; compressed anew, it has another key."""
        digest = hashlib.sha256(data)
        # 32 bytes that no file's end can pass for: the digest so far is part of what is hashed.
        where = b"" if box is None else struct.pack("<4d", *box)
        return self.prefix.encode() + hashlib.sha256(digest.digest() + where).hexdigest().encode()
