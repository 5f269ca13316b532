"""What tells, without reading a file, whether it is the one that was read before."""

import math
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import fsspec
from fsspec.asyn import AsyncFileSystem, sync

from src.catalog.audit import is_remote
from src.catalog.image_source import TIMEOUT_S
from src.catalog.shard_address import parse_shard_address

__all__ = ["Fingerprint", "fingerprint"]


class Fingerprint(NamedTuple):
    """Of a file.

    Attributes:
        value: size and time of change, or size and ETag; None where the backend tells neither.
        size: in bytes, of the image; None where it is not told.
    """

    value: str | None
    size: int | None


def fingerprint(root: Path, image: str) -> Fingerprint:
    """Ask the file system, with one request for a remote file and none of its content.

    Args:
        root: folder of relative paths.
        image: a path, a URI, or an address in a tar shard.

    Raises:
        Exception: whatever the backend raises where there is no such file.
    """
    address = parse_shard_address(image)
    path = address.path if address else image
    if not is_remote(path):
        status = (root / path).stat()
        size: int | None = status.st_size
        changed: str | None = str(status.st_mtime_ns)
    else:
        backend, name = fsspec.core.url_to_fs(path)
        if isinstance(backend, AsyncFileSystem):
            # A listing that was kept from before would not show a changed file.
            backend.invalidate_cache()
            facts = sync(backend.loop, backend._info, name, timeout=TIMEOUT_S)
        else:
            facts = backend.info(name)
        size, changed = facts.get("size"), _changed(facts)
    if address:
        return Fingerprint(changed and f"{size}-{changed}-{address.offset}+{address.length}", address.length)
    return Fingerprint(changed and f"{size}-{changed}", size)


def _changed(facts: dict[str, object]) -> str | None:
    """An ETag or a time of change; over HTTP a size alone proves nothing."""
    for name in ("ETag", "etag", "LastModified", "mtime", "modified", "last_modified"):
        value = facts.get(name)
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value)):
            return str(value)
    return None
