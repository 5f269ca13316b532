"""Reading a whole collection in pages that no order of the server is needed for."""

import hashlib
import math
from collections.abc import Iterator

__all__ = ["SCAN_KEY", "scan_key", "scan_ranges"]

SCAN_KEY = "scan_key"
"""The column that pages are ranges of."""

_KEYS = 2**32


def scan_key(image_id: str) -> int:
    """The hash of an image_id, 0 to 2^32 - 1, evenly spread."""
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=4).digest(), "little")


def scan_ranges(rows: int, batch: int) -> Iterator[tuple[int, int]]:
    """First and last key of pages that hold `batch` of some rows in the mean; together they hold every row."""
    pages = max(1, math.ceil(rows / batch))
    for page in range(pages):
        yield page * _KEYS // pages, (page + 1) * _KEYS // pages - 1
