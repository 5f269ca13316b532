"""One writer a folder."""

import fcntl
import os
from pathlib import Path

from src.contracts.errors import LookalikeError

__all__ = ["WriterLock"]


class WriterLock:
    """Held from construction to `release`, or to the end of the process, however it ends.

    The kernel keeps the lock (`flock`), so a killed writer leaves none behind. On network file systems without `flock`
    it cannot be relied on: keep the folder on a local disk.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            if not isinstance(error, BlockingIOError):
                raise LookalikeError(
                    f"{folder}: cannot be locked ({error.strerror}); keep it on a local disk"
                ) from None
            raise LookalikeError(
                f"{folder}: another writer has this index open; an index has one writer. "
                "Close that one, or read with LiveReader"
            ) from None

    def release(self) -> None:
        """Let another writer in."""
        os.close(self._descriptor)
