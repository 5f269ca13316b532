"""The images below a folder, and what else was found there."""

import os
import stat
from collections import Counter, deque
from pathlib import Path

from src.contracts.image_signature import SIGNATURE_BYTES, signed_format

__all__ = ["LeftOut", "walk_images"]

_NAMED = 3
_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")
# Of macOS archives, Synology's thumbnails, and Windows.
_SYSTEMS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"})


class LeftOut:
    """Files and folders that were left out: how many, and the first names, by the reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, reason: str, name: str) -> None:
        """Count one."""
        self._counts[reason] += 1
        names = self._names.setdefault(reason, [])
        if len(names) < _NAMED:
            names.append(os.fsencode(name).decode("utf-8", "replace"))

    def described(self) -> str:
        """All reasons: `1 empty (a/b.jpg); 5 hidden or of a system (a/._b.jpg, c/.d/, __MACOSX/, ...)`."""
        return "; ".join(
            f"{count} {reason} ({', '.join(self._names[reason])}{', ...' if count > _NAMED else ''})"
            for reason, count in sorted(self._counts.items())
        )


def walk_images(root: Path, left_out: LeftOut) -> list[tuple[str, ...]]:
    """Find images by their first bytes. Links are followed; a folder that has several names is read once, by its own.

    Args:
        root: an existing folder.
        left_out: takes what is no image.

    Returns:
        The parts of each image's path below `root`, sorted.
    """
    images: list[tuple[str, ...]] = []
    read: set[tuple[int, int]] = set()
    folders: deque[tuple[str, ...]] = deque([()])
    links: deque[tuple[str, ...]] = deque()
    while folders or links:
        # A link waits until all folders were read under their own names.
        parts = folders.popleft() if folders else links.popleft()
        try:
            status = root.joinpath(*parts).stat()
            if (status.st_dev, status.st_ino) in read:
                left_out.add("linked folders that were read before", "/".join(parts))
                continue
            read.add((status.st_dev, status.st_ino))
            with os.scandir(root.joinpath(*parts)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            left_out.add(f"not readable ({error.strerror})", "/".join(parts) or str(root))
            continue
        for entry in entries:
            below = (*parts, entry.name)
            try:
                if not _is_hidden(entry.name) and entry.is_dir():
                    (links if entry.is_symlink() else folders).append(below)
                    continue
                reason = _why_no_image(entry.path, entry.name)
            except FileNotFoundError:
                reason = "links to nothing"
            except OSError as error:
                reason = f"not readable ({error.strerror})"
            if reason is None:
                images.append(below)
            else:
                left_out.add(reason, "/".join(below))
    return sorted(images)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEMS


def _why_no_image(path: str, name: str) -> str | None:
    """Why an entry that is no folder to be read is left out; None for an image."""
    if _is_hidden(name):
        return "hidden or of a system"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "with names that are not UTF-8"
    if not stat.S_ISREG(os.stat(path).st_mode):
        return "neither files nor folders"
    with open(path, "rb") as file:
        start = file.read(SIGNATURE_BYTES)
    if signed_format(start):
        return None
    if not start:
        return "empty"
    return "named as images, but of no format that is read" if name.lower().endswith(_SUFFIXES) else "no images"
