"""The shards that a pattern names, such as `train-{000..009}.tar`."""

import glob
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import fsspec

from src.catalog.audit import is_remote

__all__ = ["expand_braces", "find_shards"]

_MOST = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def find_shards(root: Path, pattern: str) -> list[str]:
    """Expand braces and glob patterns.

    Args:
        root: folder of relative paths.
        pattern: paths or URIs with braces (`{000..009}`, `{a,b}`) or glob signs, several of them parted by `::`. A
            server that lists no files, as HTTP's, takes braces only.

    Returns:
        Paths relative to `root`, absolute ones or URIs: in the order of braces, those of one glob pattern sorted.

    Raises:
        ValueError: more than 100,000 shards.
        OSError: a remote folder cannot be listed.
    """
    shards: list[str] = []
    for part in pattern.split("::"):
        for path in islice(expand_braces(part), _MOST + 1):
            shards += _listed(root, path)
    if len(shards) > _MOST:
        raise ValueError(f"names more than {_MOST} shards")
    return shards


def expand_braces(pattern: str) -> Iterator[str]:
    """Each path that a pattern with braces names, as a shell would expand it.

    Example:
        >>> list(expand_braces("{a,b}-{08..10}.tar"))
        ['a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar', 'b-09.tar', 'b-10.tar']
    """
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    limits = _RANGE.fullmatch(braces[1])
    values: Iterator[str]
    if limits:
        width = max(len(end) if end[0] == "0" else 0 for end in limits.groups())
        values = (f"{number:0{width}d}" for number in range(int(limits[1]), int(limits[2]) + 1))
    else:
        values = iter(braces[1].split(","))
    for value in values:
        yield from expand_braces(pattern[: braces.start()] + value + pattern[braces.end() :])


def _listed(root: Path, pattern: str) -> list[str]:
    if not is_remote(pattern):
        return sorted(glob.glob(pattern, root_dir=root, recursive=True)) if glob.has_magic(pattern) else [pattern]
    if "*" not in pattern:  # an address has ? and [] of its own
        return [pattern]
    backend, path = fsspec.core.url_to_fs(pattern)
    return sorted(backend.unstrip_protocol(found) for found in backend.glob(path))
