"""One process a state folder."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from src.contracts.errors import JournalError

__all__ = ["FolderLock"]

_DIGITS = 20


class FolderLock:
    """Locks a folder by the file `lock` in it, until `release` or the end of the process, however it ends.

    The file also holds the number of the last acknowledged change: SQLite does not notice that somebody removed its
    `-wal` file, or put an older copy of the journal in its place.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder and lock it; raises `JournalError` where another process has it, or it cannot be written."""
        self._path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"{folder}: {error.strerror}; give a folder on a writable local disk") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            why = "another service has it open" if isinstance(error, BlockingIOError) else error.strerror
            raise JournalError(f"{folder}: {why}; stop that one, or give another folder on a local disk") from None

    def check(self, last_change: int) -> None:
        """Raise `JournalError` where a later change than the journal's last one was acknowledged."""
        text = os.pread(self._file, _DIGITS, 0)
        # After a power cut the file may be empty or zeros: less is noticed then.
        acknowledged = int(text) if text.isdigit() else 0
        if acknowledged > last_change:
            raise JournalError(
                f"{self._path.parent}: change {acknowledged} was acknowledged, but the journal ends at {last_change}: "
                "its -wal file was removed, or it was replaced by an older copy; restore the newest copy of the "
                f"folder, or remove {self._path} to go on without those changes"
            )
        self.acknowledge(last_change)

    def acknowledge(self, change: int) -> None:
        """Note that a change is on the disk. The note itself need not be: it may be behind, and is never ahead."""
        with suppress(OSError):
            os.pwrite(self._file, b"%0*d" % (_DIGITS, change), 0)

    def release(self) -> None:
        """Let another process in."""
        os.close(self._file)
