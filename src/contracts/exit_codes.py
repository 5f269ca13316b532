"""How a command ends: 0; 2 with one message for what the user can mend; 1 with a traceback for our bugs."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from src.contracts.errors import LookalikeError

__all__ = ["exit_with_message"]

_FIXES = {
    errno.EACCES: "give the permission, or name another path",
    errno.EPERM: "give the permission, or name another path",
    errno.EROFS: "name a path on a disk that can be written to",
    errno.ENOSPC: "free some space, or name a path on another disk",
    errno.EDQUOT: "free some space, or name a path on another disk",
    errno.EEXIST: "it is a file where a folder is needed; remove it, or name another path",
    errno.ENOTDIR: "a part of the path is a file; name another path",
    errno.EISDIR: "it is a folder where a file is needed; name a file",
    errno.EFBIG: "the system limits the size of files (ulimit -f, or the file system): name a path elsewhere",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its symbolic links go round in a circle; name another path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""By the number of the system's error: what the user can do."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_TEXTS = {**{os.strerror(number): number for number in _FULL}, "database or disk is full": errno.ENOSPC}


@contextmanager
def exit_with_message() -> Iterator[None]:
    """End the process with 2 and one line where the body raises what the user can mend.

    That is `LookalikeError`, and files and folders that cannot be made, read or written for a reason outside Lookalike.
    """
    try:
        yield
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)


def _message(error: Exception) -> str | None:
    """What the user is told; None for a bug."""
    if isinstance(error, LookalikeError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _FIXES:
        return f"{error}: {_FIXES[error.errno]}"
    cause: BaseException | None = error
    while cause is not None:
        # Libraries (torch, safetensors, FAISS, SQLite) say it in errors of their own, or raise another one over it.
        found = [number for text, number in _FULL_TEXTS.items() if text in str(cause)]
        if getattr(cause, "errno", None) in _FULL or found:
            return f"{cause}: {_FIXES[found[0] if found else cause.errno]}"  # type: ignore[attr-defined]
        cause = cause.__cause__ or cause.__context__
    return None
