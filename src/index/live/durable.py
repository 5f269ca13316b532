"""Files that are on the disk, whole, when a function returns."""

import os
from pathlib import Path

__all__ = ["replace_file", "sync_file", "sync_folder"]


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk: files made, renamed and removed in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`: whoever reads it, also after a power cut, finds the old content or the new."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    sync_file(part)
    os.replace(part, path)
    sync_folder(path.parent)
