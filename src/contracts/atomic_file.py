"""Writing a file so that a reader sees the old content or the new content, each whole."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_file", "write_atomically"]


@contextmanager
def atomic_file(path: Path, *, staging: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends, the file written there replaces `path`.

    The file is on the disk before it gets its name, and the name is on the disk when the block has ended, so that this
    holds after a power cut as well. If the block raises, `path` stays as it was and the temporary file is removed. A
    process that is killed in the block leaves a hidden file `.NAME.TOKEN.part`, which nothing reads; it may be deleted.
    Several processes may write one path at once: each has a temporary file of its own, and the last one stays.

    Args:
        path: the file to replace or to make. Its mode follows the umask, also where an older file had another.
        staging: folder for the temporary file, on the same file system; None for the folder of `path`. It is made
            where it is absent.

    Raises:
        OSError: the disk is full, the folder cannot be written to, or the block wrote nothing.
    """
    folder = staging or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    # The ending is not that of `path`: a pattern such as `*.parquet` must not find what a killed process left.
    temporary = folder / f".{path.name}.{secrets.token_hex(8)}.part"
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file by `atomic_file`; text is written as UTF-8, with line ends as they are."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
