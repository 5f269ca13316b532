"""A writer that is killed: what it does, where it dies, and what a power cut takes with it.

Imported by child processes: it needs the index and nothing else.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from src.index.live import LiveIndex

DIM = 8
IMAGES = 40
ITEMS = 8

Change = tuple[str, list]


def vector_of(tag: int) -> np.ndarray:
    vector = np.random.default_rng(tag).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def random_change(rng: random.Random) -> Change:
    kind = rng.choice(["upsert"] * 6 + ["delete"] * 3 + ["delete_items"])
    if kind == "upsert":
        rows = [
            (f"image-{rng.randrange(IMAGES)}", f"item-{rng.randrange(ITEMS)}", rng.randrange(1 << 30))
            for _ in range(rng.randint(1, 6))
        ]
        return kind, rows
    if kind == "delete":
        return kind, [f"image-{rng.randrange(IMAGES)}" for _ in range(rng.randint(1, 4))]
    return kind, [f"item-{rng.randrange(ITEMS)}"]


def make(index: LiveIndex, change: Change) -> None:
    kind, rows = change
    if kind == "upsert":
        images, items, tags = zip(*rows, strict=True)
        index.upsert(images, items, np.stack([vector_of(tag) for tag in tags]), {"tag": tags})
    elif kind == "delete":
        index.delete(rows)
    else:
        index.delete_items(rows)


def write(folder: Path, seed: int, pipe: Connection, die_at: int | None, power_cut: bool, flaw: str | None) -> None:
    """Change and merge until killed; each change is announced before and acknowledged after."""
    rng = random.Random(seed)
    if die_at is not None:
        Fate(folder, pipe, die_at, rng, power_cut=power_cut, flaw=flaw).install()
    index = LiveIndex.open(folder)
    while True:
        change = random_change(rng)
        pipe.send(("announced", change))
        if flaw == "acknowledges before it writes":
            pipe.send(("acknowledged", None))
        make(index, change)
        if flaw != "acknowledges before it writes":
            pipe.send(("acknowledged", None))
        if rng.random() < 0.1:
            index.merge()


class Fate:
    """Kills this process at the n-th call that changes files, before it, after it or in its middle.

    A power cut also takes what was not synced: the ends of files, and names whose folder was not synced. Calls take
    turns, so that no other thread writes on while the power goes.
    """

    def __init__(
        self, folder: Path, pipe: Connection, die_at: int, rng: random.Random, *, power_cut: bool, flaw: str | None
    ) -> None:
        self._pipe = pipe.fileno()
        self._left = die_at
        self._rng = rng
        self._power_cut = power_cut
        self._flaw = flaw
        self._folder = folder
        self._real: dict[str, Callable] = {}
        self._synced = {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        self._names: list[tuple[str, Callable[[], Any]]] = []
        self._turn = threading.Lock()

    def install(self) -> None:
        for name in ("write", "fsync", "ftruncate", "rename", "replace", "unlink", "open"):
            self._real[name] = getattr(os, name)
        for name in ("write", "fsync", "ftruncate", "rename", "replace", "unlink"):
            setattr(os, name, self._stepping(name))
        os.open = self._opening

    def _opening(self, path: Any, flags: int, *arguments: Any, **keywords: Any) -> int:
        with self._turn:
            new = bool(flags & os.O_CREAT) and not os.path.exists(path)
            descriptor = self._real["open"](path, flags, *arguments, **keywords)
            if new:
                self._names.append((os.path.dirname(path), lambda: self._real["unlink"](path)))
            return descriptor

    def _stepping(self, name: str) -> Callable:
        def step(*arguments: Any, **keywords: Any) -> Any:
            with self._turn:
                self._left -= 1
                if self._left == 0:
                    if name == "write":
                        descriptor, data = arguments
                        self._real["write"](descriptor, data[: self._rng.randint(0, len(data))])
                    elif self._rng.random() < 0.5:
                        self._do(name, *arguments, **keywords)
                    self._die()
                return self._do(name, *arguments, **keywords)

        return step

    def _do(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        if name in ("rename", "replace"):
            self._remember_rename(*map(str, arguments))
        result = self._real[name](*arguments, **keywords)
        if name == "fsync" and self._flaw != "does not sync":
            path = os.readlink(f"/proc/self/fd/{arguments[0]}")
            if not os.path.isdir(path):
                self._synced[path] = os.stat(path).st_size
            elif self._flaw != "does not sync folders":
                self._names = [(folder, undo) for folder, undo in self._names if folder != path]
        return result

    def _remember_rename(self, source: str, place: str) -> None:
        old = Path(place).read_bytes() if os.path.isfile(place) else None

        def undo() -> None:
            self._real["rename"](place, source)
            if old is not None:
                Path(place).write_bytes(old)

        self._names.append((os.path.dirname(place), undo))
        moved = {path: size for path, size in self._synced.items() if path == source or path.startswith(source + "/")}
        self._synced.pop(place, None)
        self._synced.update({place + path[len(source) :]: size for path, size in moved.items()})

    def _die(self) -> None:
        process = os.getpid()
        # Other threads read these files through memory maps: a file is cut only once no one is left to read it. The
        # survivor holds the pipe, so that the test waits for it, and nothing else, such as the writer's lock.
        if self._power_cut and os.fork() == 0:
            os.closerange(3, self._pipe)
            os.closerange(self._pipe + 1, os.sysconf("SC_OPEN_MAX"))
            os.kill(process, signal.SIGKILL)
            while os.getppid() == process:
                time.sleep(0.001)
            process = os.getpid()
            self._lose_what_was_not_synced()
        os.kill(process, signal.SIGKILL)
        time.sleep(60)

    def _lose_what_was_not_synced(self) -> None:
        for path in [path for path in self._folder.rglob("*") if path.is_file()]:
            os.truncate(path, min(path.stat().st_size, self._synced.get(str(path), 0)))
        for _, undo in reversed(self._names):
            undo()
