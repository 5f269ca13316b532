"""Kills of a process that changes items: python -m benchmarks.serving.kills --kills 2000.

A process changes items through `LiveItems` and tells each change that was acknowledged; it is killed (SIGKILL) at a
random moment, also while it opens the folder. A fresh process opens the folder: all acknowledged changes must be there
whole, in the journal and in searches, the one that was under way whole or not at all, and no number of a change may be
given twice. All kills share one folder. A kill ends a process, not the machine: power cuts are not tried. Exits 1 where
something is missing.
"""

import argparse
import asyncio
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image

from src.contracts.tables import ITEMS, validate_items
from src.index.journal import Journal, picture_id
from src.search.gallery import Gallery
from src.search.items import Items
from src.search.layer import Layer
from src.search.live_items import LiveItems
from src.search.trending import Trending

_DIM = 12
_NAMES = [f"item/{number}" for number in range(24)]
_OF_BUNDLE = 8
_MADE_BY = "encoder"


@dataclass(frozen=True)
class Item:
    """What an item should be; `pictures` is None for one of the bundle."""

    attributes: dict[str, Any]
    pictures: tuple[bytes, ...] | None


@dataclass(frozen=True)
class Change:
    """A change that is made."""

    kind: str
    item_id: str
    attributes: dict[str, Any]
    pictures: tuple[bytes, ...]

    def after(self, items: dict[str, Item]) -> dict[str, Item]:
        """The items after it."""
        if self.kind == "delete":
            return {name: item for name, item in items.items() if name != self.item_id}
        known = items.get(self.item_id, Item({}, None))
        if self.kind == "patch":
            return {**items, self.item_id: Item({**known.attributes, **self.attributes}, known.pictures)}
        return {**items, self.item_id: Item(self.attributes, self.pictures)}

    async def make(self, live: LiveItems) -> None:
        """Make it as the routes do."""
        if self.kind == "put":
            await live.put(self.item_id, self.pictures, self.attributes)
        elif self.kind == "patch":
            await live.patch(self.item_id, self.attributes)
        else:
            await live.delete(self.item_id)


@dataclass
class Account:
    """What was acknowledged, and what became of the changes that were under way."""

    items: dict[str, Item]
    last_change: int = 0
    opening: int = 0
    kept: int = 0
    lost: int = 0

    def line(self) -> str:
        """In words."""
        return (
            f"{self.last_change - self.kept} acknowledged changes, all there whole; of {self.kept + self.lost} under "
            f"way {self.kept} are there whole, {self.lost} not at all; {self.opening} kills met the opening"
        )


def next_change(rng: random.Random, items: dict[str, Item]) -> Change:
    """A change, some with pictures of a page of SQLite's, some of many."""
    item_id = rng.choice(_NAMES)
    kind = rng.choices(["put", "patch", "delete"], [5, 3, 2])[0]
    if kind == "patch" and item_id in items:
        return Change(kind, item_id, {"price": rng.choice([None, rng.random()])}, ())
    if kind == "delete":
        return Change(kind, item_id, {}, ())
    attributes = {"brand": f"brand {rng.random()}", "price": rng.random()}
    return Change("put", item_id, attributes, tuple(_picture(rng) for _ in range(rng.randint(1, 3))))


def bundle() -> tuple[Any, dict[str, Item]]:
    """What a layer needs of a `Searcher`, and the items that are in it."""
    names = _NAMES[:_OF_BUNDLE]
    rows = [{"image_id": f"{one}/0", "item_id": one, "image": "", "brand": "old", "price": 1.0} for one in names]
    items = Items.of_table(validate_items(pa.Table.from_pylist(rows, schema=ITEMS)))
    vectors = np.stack([_vector(f"{one}/0".encode()) for one in names])
    searcher = SimpleNamespace(
        gallery=Gallery(index=_Vectors(vectors), items=items, words=None, trending=Trending({})),
        dim=_DIM,
        bundle=SimpleNamespace(bundle_id="bundle"),
        pixels=_pixels,
        embed_pixels=_embed,
    )
    return searcher, {one: Item({"brand": "old", "price": 1.0}, None) for one in names}


def write(folder: Path, account: Account, seed: int, pipe: int, *, flawed: bool) -> None:
    """Change items until killed; a byte goes into the pipe when the folder is open and after each change."""

    async def run() -> None:
        searcher, _ = bundle()
        live = LiveItems(journal=Journal(folder))
        live.serve(live.open_layer(searcher, made_by=_MADE_BY))
        os.write(pipe, b".")
        rng, items = random.Random(seed), account.items  # noqa: S311
        while True:
            change = next_change(rng, items)
            if flawed:
                os.write(pipe, b".")
            await change.make(live)
            if not flawed:
                os.write(pipe, b".")
            items = change.after(items)

    asyncio.run(run())


def check(folder: Path, account: Account, under_way: dict[str, Item], pipe: int, *, close: bool) -> None:
    """Open the folder and compare; what is wrong goes into the pipe, else `kept` or `lost`."""
    try:
        journal = Journal(folder)
        searcher, _ = bundle()
        layer = LiveItems(journal=journal).open_layer(searcher, made_by=_MADE_BY)
        kept = journal.last_change - account.last_change
        problem = f"{kept:+} changes" if kept not in (0, 1) else ""
        problem = problem or _difference(journal, layer, under_way if kept else account.items)
        if close:  # Else the next process finds a -wal file.
            journal.close()
        os.write(pipe, problem.encode() or (b"kept" if kept else b"lost"))
    except Exception as error:
        os.write(pipe, f"{type(error).__name__}: {error}".encode())


def _difference(journal: Journal, layer: Layer, items: dict[str, Item]) -> str:
    """The first thing that is not as it should be; empty where nothing is."""
    gallery = layer.gallery()
    for name in _NAMES:
        item, shown = items.get(name), gallery.describe(gallery.rows_of_item(name))
        if (item is not None) != bool(shown):
            return f"{name} is {'missing' if item else 'there'}"
        kept = journal.vectors(name, _MADE_BY)
        pictures = item.pictures if item and item.pictures is not None else ()
        if [*kept] != [picture_id(name, data) for data in pictures]:
            return f"{name} has {len(kept)} pictures, not {len(pictures)}"
        for data, (image_id, vector) in zip(pictures, kept.items(), strict=True):
            if journal.picture(image_id) != data or vector is None or not np.array_equal(vector, _vector(data)):
                return f"{image_id} has another picture or embedding"
            if not (journal.thumbnail(image_id) or b"").startswith(b"\xff\xd8"):
                return f"{image_id} has no thumbnail"
            hit = gallery.search(_vector(data), 1)[0]
            if hit.row["image_id"] != image_id or (hit.score or 0) < 0.9999:
                return f"{image_id} is not found by its own picture"
        if item and any(row[key] != value for row in shown for key, value in item.attributes.items()):
            return f"{name} has {shown[0]}, not {item.attributes}"
    return ""


def kill_one(folder: Path, account: Account, rng: random.Random, *, flawed: bool = False) -> str:
    """Kill a writer and check the folder; returns what is wrong, empty where nothing is."""
    seed, answers = rng.randrange(1 << 30), rng.choice([0, rng.randint(1, 40)])
    pid, pipe = _forked(lambda end: write(folder, account, seed, end, flawed=flawed))
    told = b""
    while len(told) < answers and (more := os.read(pipe, 1)):
        told += more
    time.sleep(rng.uniform(0, 0.006 if answers else 0.04))
    os.kill(pid, signal.SIGKILL)
    told += _rest(pid, pipe)
    if len(told) < answers:
        return f"the writer ended by itself after {len(told)} answers"
    changes, items = random.Random(seed), account.items  # noqa: S311
    for _ in told[1:]:
        items = next_change(changes, items).after(items)
    account.items, account.last_change = items, account.last_change + max(0, len(told) - 1)
    under_way = next_change(changes, items).after(items) if told else items
    close = rng.random() < 0.5
    answer = _rest(*_forked(lambda end: check(folder, account, under_way, end, close=close))).decode()
    account.opening += not told
    if answer == "kept":
        account.items, account.last_change, account.kept = under_way, account.last_change + 1, account.kept + 1
    elif answer == "lost":
        account.lost += bool(told)
    else:
        return answer or "the checking process ended without an answer"
    return ""


def kill_many(folder: Path, kills: int, seed: int, *, flawed: bool = False) -> tuple[Account, str]:
    """Kill so many writers of one folder; returns the account and what is wrong, empty where nothing is."""
    rng, account = random.Random(seed), Account(bundle()[1])  # noqa: S311
    for number in range(kills):
        if problem := kill_one(folder, account, rng, flawed=flawed):
            return account, f"kill {number} of seed {seed}: {problem}"
    return account, ""


def _forked(run: Callable[[int], None]) -> tuple[int, int]:
    """Run in a process of its own; returns its id and what it writes to."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    try:
        os.close(ours)
        run(theirs)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(0)


def _rest(pid: int, pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as stream:
        rest = stream.read()
    os.waitpid(pid, 0)
    return rest


class _Vectors:
    """Exact search in NumPy: FAISS's threads do not survive a fork."""

    dim = _DIM

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        scores = np.einsum("qd,nd->qn", vectors, self._vectors)
        if allowed is not None:
            scores = np.where(allowed, scores, -np.inf)
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(scores, rows, 1)
        return scores, np.where(np.isneginf(scores), -1, rows)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return self._vectors[rows]


def _picture(rng: random.Random) -> bytes:
    side = int(10 ** rng.uniform(0.9, 2.3))
    noise = np.frombuffer(rng.randbytes(3 * side * side), np.uint8).reshape(side, side, 3)
    jpeg: bytes = simplejpeg.encode_jpeg(noise, quality=90)
    return jpeg


def _pixels(data: bytes) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(data).digest()[:_DIM], np.uint8).reshape(2, 2, 3)


def _embed(pixels: np.ndarray) -> np.ndarray:
    vectors = pixels.reshape(len(pixels), _DIM).astype(np.float32) - 127.5
    normalised: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def _vector(data: bytes) -> np.ndarray:
    vector: np.ndarray = _embed(_pixels(data)[None])[0]
    return vector


def main() -> None:
    """Print what was acknowledged and what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the state folder is made; the disk decides the time")
    arguments = parser.parse_args()
    began = time.perf_counter()
    Image.init()  # Once, and not in each process.
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        account, problem = kill_many(Path(folder) / "state", arguments.kills, arguments.seed)
    print(f"{arguments.kills} kills in {time.perf_counter() - began:.0f} s: {account.line()}")
    if problem:
        print(problem, file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
