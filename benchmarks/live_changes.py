"""What changes of items cost: python -m benchmarks.live_changes --rows 1000000.

The time of a change in memory and in the journal, what changed items add to a search, and the time to open the journal
again, by the number of changed items. Of these, a third are new, a third replace items of the bundle, and a third are
deleted; as many others are patched. Vectors are simulated. CPU time is given where nothing waits, so that other work on
the machine matters less; the disk decides the time of a commit (`--folder`).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from src.contracts.tables import validate_items
from src.index.faiss_index import FaissIndex
from src.index.filters import Between, Condition
from src.index.journal import Journal, Picture, picture_id
from src.index.simulated import Clustered
from src.search.changes import Changes
from src.search.gallery import Gallery
from src.search.items import Items
from src.search.layer import Layer
from src.search.trending import Trending

_K = 10
_PICTURE = 100_000
"""Bytes of a picture in the journal."""
_BRANDS = 1000
_CHANGES = 300
"""Changes that a figure is of."""
_FILTER: list[Condition] = [Between("price", 10.0, 60.0)]


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="images in the bundle, each of an item of its own")
    parser.add_argument("--dim", type=int, default=512, help="dimension of the vectors")
    parser.add_argument("--layout", default="ivf_sq8", help="of the bundle's index")
    parser.add_argument("--changed", type=int, nargs="+", default=[0, 1_000, 10_000], help="changed items, ascending")
    parser.add_argument("--queries", type=int, default=300, help="searches that a figure is of")
    parser.add_argument("--folder", type=Path, help="where the journal is written")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    simulated = Clustered(arguments.rows + max(arguments.changed) + _CHANGES, arguments.dim)
    vectors, queries = simulated.vectors(), simulated.queries(arguments.queries)[0]
    base = _gallery(vectors[: arguments.rows], arguments.layout)
    print(f"\n{arguments.rows:,} x {arguments.dim}, {arguments.layout}, one thread; p50 / p99 in ms of CPU\n")
    _in_memory(base, vectors[arguments.rows :], queries, arguments.changed)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        _journal(base, vectors[arguments.rows :], Path(folder) / "state", arguments.changed)


def _in_memory(base: Gallery, vectors: np.ndarray, queries: np.ndarray, steps: Sequence[int]) -> None:
    print("| changed items | put | patch | delete | search | search by price |\n" + 6 * "| ---: " + "|")
    changes, made = Changes(base, dim=vectors.shape[1]), 0
    for step in steps:
        for number in range(made, step):
            _change(changes, number, vectors, len(base))
        changes.publish()
        made = step
        cells = [
            *_changes(changes, vectors, len(base)),
            *(_searches(base, changes, queries, filters) for filters in ([], _FILTER)),
        ]
        print(f"| {step:,} | {' | '.join(cells)} |", flush=True)


def _change(changes: Changes, number: int, vectors: np.ndarray, rows: int) -> None:
    """One of many changes, and a patch of another item."""
    put = {f"new-{number}": vectors[number]}
    if number % 3 == 0:
        changes.put(f"new-{number}", put, {"price": number % 100.0})
    elif number % 3 == 1:
        changes.put(f"item-{number}", put, {"price": number % 100.0})
    else:
        changes.delete(f"item-{number}")
    changes.patch(f"item-{rows - 1 - number}", {"price": number % 100.0})


def _changes(changes: Changes, vectors: np.ndarray, rows: int) -> Iterator[str]:
    """CPU milliseconds of a change until it is visible; what is put is deleted again."""
    patch = partial(changes.patch, f"item-{rows // 2}")
    kinds: list[Callable[[int], None]] = [
        lambda number: changes.put(f"more-{number}", {f"more-{number}": vectors[-number]}, {"price": 1.0}),
        lambda number: patch({"price": float(number)}),
        lambda number: changes.delete(f"more-{number}"),
    ]
    for kind in kinds:
        times = []
        for number in range(_CHANGES):
            began = time.thread_time()
            kind(number)
            changes.publish()
            times.append(time.thread_time() - began)
        yield _shown(times)


def _searches(base: Gallery, changes: Changes, queries: np.ndarray, filters: list[Condition]) -> str:
    """CPU milliseconds of a search with the changes, and what they add to one of the bundle alone: asked in turn."""
    gallery = changes.gallery()
    alone, changed = [], []
    for number, query in enumerate([*queries[:20], *queries]):
        began = time.thread_time()
        base.search(query, _K, filters=filters)
        between = time.thread_time()
        gallery.search(query, _K, filters=filters)
        ended = time.thread_time()
        if number >= 20:  # The first ones warm up.
            alone.append(between - began)
            changed.append(ended - between)
    added = 1e3 * (np.median(changed) - np.median(alone))
    return f"{_shown(changed)} ({added:+.2f})"


def _journal(base: Gallery, vectors: np.ndarray, folder: Path, steps: Sequence[int]) -> None:
    searcher: Any = SimpleNamespace(gallery=base, dim=vectors.shape[1])
    picture = bytes(_PICTURE)
    print("\n| items in the journal | put, ms of wall time | MiB | opened again, s |\n" + 4 * "| ---: " + "|")
    made = 0
    for step in steps:
        times = []
        journal = Journal(folder)
        for number in range(made, step):
            name = f"new-{number}"
            one = Picture(picture_id(name, picture), picture, b"", vectors[number])
            began = time.perf_counter()
            journal.put(name, {"price": 1.0}, [one], made_by="encoder")
            times.append(time.perf_counter() - began)
        journal.close()
        made, began = step, time.perf_counter()
        journal = Journal(folder)
        Layer(searcher, journal, made_by="encoder", changes_after=0).catch_up()
        seconds = time.perf_counter() - began
        journal.close()
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        print(f"| {step:,} | {_shown(times) if times else ''} | {size:,.0f} | {seconds:.2f} |", flush=True)


def _gallery(vectors: np.ndarray, layout: str) -> Gallery:
    rows = len(vectors)
    names = [f"item-{row}" for row in range(rows)]
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "image_id": names,
            "item_id": names,
            "image": pa.array([""] * rows),
            "brand": pa.array([f"brand {number}" for number in rng.integers(0, _BRANDS, rows)]),
            "price": rng.uniform(0, 100, rows).round(2),
            "in_stock": rng.random(rows) < 0.9,
        }
    )
    items = Items.of_table(validate_items(table))
    return Gallery(index=FaissIndex.build(vectors, layout=layout), items=items, words=None, trending=Trending({}))


def _shown(seconds: Sequence[float]) -> str:
    return " / ".join(f"{1e3 * value:.2f}" for value in np.quantile(seconds, (0.5, 0.99)))


if __name__ == "__main__":
    main()
