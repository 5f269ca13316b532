"""One process a state folder, and the last change that it acknowledged."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from src.contracts.errors import JournalError

__all__ = ["FolderLock"]

_DIGITS = 20


class FolderLock:
    """Locks a folder by a file in it, from construction to `release` or to the end of the process, however it ends.

    The file also holds the number of the last acknowledged change. The journal never has less, unless somebody removed
    its `-wal` file or put an older copy in its place: SQLite cannot notice either.

    Attributes:
        acknowledged: that number; 0 where there was no change yet.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder and lock it.

        Raises:
            JournalError: another process has it, or it cannot be written.
        """
        path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(
                f"{folder}: cannot be written ({error.strerror}); give a folder on a writable local disk"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = os.pread(self._descriptor, _DIGITS, 0).strip()
        except OSError as error:
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise JournalError(
                    f"{folder}: another service has this state folder open; stop it, or give this one another folder"
                ) from None
            raise JournalError(f"{folder}: cannot be locked ({error.strerror}); keep it on a local disk") from None
        # After a power cut the file may be empty or zeros: less is known then, and nothing is lost.
        self.acknowledged = int(text) if text.isdigit() else 0

    def acknowledge(self, change: int) -> None:
        """Note that a change is durable. Not synced: it must not be ahead of the journal, and may be behind it."""
        self.acknowledged = change
        with suppress(OSError):
            os.pwrite(self._descriptor, b"%0*d\n" % (_DIGITS, change), 0)

    def release(self) -> None:
        """Let another process in."""
        os.close(self._descriptor)
