"""Folders written aside and put in their place in one step: at no moment is a name without its folder."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["exchange", "staged_folder"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# No such call in this kernel or this C library, or a file system (NFS, some overlays) that cannot do it.
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


@contextmanager
def staged_folder(output: Path, *, check: Callable[[Path], None]) -> Iterator[Path]:
    """Yield a new folder beside `output`; when the block ends, it takes the place of `output`, synced.

    If the block raises, or the process dies, `output` is as it was. A process that is killed leaves a hidden folder
    `.NAME.TOKEN.part`, which nothing reads.

    Args:
        output: the folder to replace or to make.
        check: raises where `output` may not be replaced; called before and after the block, since writing may take
            minutes, in which somebody may have put something there.
    """
    check(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    try:
        yield staging
        _sync(staging)
        staging.chmod(0o755)
        check(output)
        _swap(staging, output)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Swap what two names of one file system stand for, by Linux's `renameat2(RENAME_EXCHANGE)`.

    Returns:
        Whether they were swapped; False, with nothing changed, where the system cannot.

    Raises:
        OSError: it can, and failed.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # no such function: another system, or an old C library
        return False
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _swap(staging: Path, output: Path) -> None:
    """Put the new folder in its place; the old one, if any, is left where the new one was, or removed."""
    if output.exists() and exchange(staging, output):
        return
    # A folder cannot be renamed over a filled one: the old one steps aside first and comes back if that fails.
    old = staging.with_suffix(".old")
    if output.exists():
        os.rename(output, old)
    try:
        os.rename(staging, output)
    except OSError:
        if old.exists():
            os.rename(old, output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
