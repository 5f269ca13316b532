"""Windows as files of one folder: each process writes its own, and who reads adds them up."""

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from src.contracts.atomic_file import write_atomically
from src.contracts.errors import LookalikeError
from src.monitoring.drift.window import Window

__all__ = ["BASELINE", "SUFFIX", "merged", "periods", "read_window", "read_windows", "write_window"]

SUFFIX = ".window"
BASELINE = f"baseline{SUFFIX}"
"""A window in the same folder that the others are compared with, where there is one."""
_MOST = 2000
"""Files of a folder, about 50 KB each: 80 days of hours of one process."""


def write_window(folder: Path, window: Window, *, most: int = _MOST) -> Path:
    """Write a window whole, under a name that no other process takes; at `most` files, the oldest leave."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(window.started))
    path = folder / f"{stamp}-{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}{SUFFIX}"
    write_atomically(path, window.to_bytes())
    for old in _files(folder)[:-most]:
        old.unlink(missing_ok=True)  # Another process may have been faster.
    return path


def read_window(path: Path) -> Window:
    """Read one file; raises `LookalikeError`, which names it, where it is no window."""
    try:
        return Window.from_bytes(path.read_bytes())
    except OSError as error:
        raise LookalikeError(f"{path}: cannot be read ({error.strerror})") from None
    except LookalikeError as error:
        raise LookalikeError(f"{path}: {error}") from None


def read_windows(folder: Path) -> list[Window]:
    """All windows of a folder but the baseline, the earliest first; raises `LookalikeError` where there is none."""
    windows = []
    for path in _files(folder):
        try:
            windows.append(read_window(path))
        except LookalikeError:
            if path.exists():  # Otherwise a service has just removed it.
                raise
    if not windows:
        raise LookalikeError(f"`--windows {folder}`: no *{SUFFIX} file in it; a service writes them (--drift)")
    return sorted(windows, key=lambda window: window.started)


def merged(windows: Sequence[Window]) -> Window:
    """One window of all queries; the windows, at least one, stay as they are."""
    whole = Window.from_bytes(windows[0].to_bytes())
    for window in windows[1:]:
        whole.merge(window)
    return whole


def periods(windows: Sequence[Window], seconds: float) -> list[Window]:
    """The windows of each period merged, the earliest first; a period begins at a multiple of `seconds` since 1970."""
    groups: dict[int, list[Window]] = {}
    for window in windows:
        groups.setdefault(int(window.started // seconds), []).append(window)
    return [merged(groups[number]) for number in sorted(groups)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.name != BASELINE)
