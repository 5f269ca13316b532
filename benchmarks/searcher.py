"""A large gallery opened and searched, the encoder apart: python -m benchmarks.searcher DIR.

DIR keeps the generated bundle, 1.2 GB for a million items, which takes minutes to make. What is measured runs in a
process of its own, with the files in the page cache.
"""

import argparse
import gc
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.simulated_gallery import write_simulated_gallery
from src.contracts.bundle import INDEX, ITEMS_ARROW, MANIFEST, THUMBNAILS, WORDS, Bundle, open_bundle, staged_bundle
from src.index.faiss_index import FaissIndex
from src.search.gallery import Gallery
from src.search.items import Items
from src.search.pictures import Pictures
from src.search.words import Words

_DIM = 64
_ROUNDS = 50
_PICTURE_BYTES = 700


def main() -> None:
    """Make the bundle where there is none, and print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, default=1_000_000, help="one image each")
    arguments = parser.parse_args()
    if not (arguments.folder / MANIFEST).is_file():
        with staged_bundle(arguments.folder) as draft:
            draft.content |= write_simulated_gallery(draft.root, arguments.items, _DIM)
    start = time.perf_counter()
    bundle = open_bundle(arguments.folder)
    print(f"verifying every hash of the bundle: {time.perf_counter() - start:.2f} s\n")
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(bundle,))
    process.start()
    process.join()
    raise SystemExit(process.exitcode)


def _measure(bundle: Bundle) -> None:
    print("| opened | ms | CPU ms | private MiB | bytes an item in the file |\n| --- | ---: | ---: | ---: | ---: |")
    parts: dict[str, tuple[str, Callable[[], object]]] = {
        "items": (ITEMS_ARROW, lambda: Items.open(bundle.path(ITEMS_ARROW))),
        "words": (WORDS, lambda: Words(bundle.path(WORDS))),
        "pictures": (THUMBNAILS, lambda: Pictures(bundle.path(THUMBNAILS))),
        "index": (INDEX, lambda: FaissIndex.load(bundle.path(INDEX), mapped=True)),
    }
    count = bundle.content["index"]["vectors"]
    kept = [pa.array([0])]  # Where pandas is installed, pyarrow imports it at its first use.
    for name, (file, open_part) in parts.items():
        size = bundle.content["files"][file]["bytes"] / count
        kept.append(_timed_opening(f"{name}, {file}", open_part, f"{size:.0f}"))
    gallery = _timed_opening("all of it: `Gallery.open`", lambda: Gallery.open(bundle), "")
    assert isinstance(gallery, Gallery)
    opened = _private_mib()
    print("\n| | p50 ms | p50 CPU ms | p99 CPU ms |\n| --- | ---: | ---: | ---: |")
    for name, call in _calls(gallery).items():
        wall, cpu = np.array([_timed(partial(call, number))[1:] for number in range(_ROUNDS)]).T * 1e3
        print(f"| {name} | {np.median(wall):.2f} | {np.median(cpu):.2f} | {np.quantile(cpu, 0.99):.2f} |")
    print(f"\nprivate memory of these calls: {_private_mib() - opened:.0f} MiB")


def _timed_opening(name: str, opened: Callable[[], object], size: str) -> object:
    gc.collect()
    before = _private_mib()
    result, wall, cpu = _timed(opened)
    print(f"| {name} | {wall * 1e3:.1f} | {cpu * 1e3:.1f} | {_private_mib() - before:.1f} | {size} |")
    return result


def _timed(call: Callable[[], object]) -> tuple[object, float, float]:
    """What a call returns, its seconds, and the seconds of CPU that the process took meanwhile."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def _calls(gallery: Gallery) -> dict[str, Callable[[int], object]]:
    queries = gallery.index.vectors(np.linspace(0, len(gallery) - 1, _ROUNDS).astype(np.int64))
    ids = gallery.items.item_ids(np.linspace(5, len(gallery) - 7, _ROUNDS).astype(np.int64))
    images = [row["image_id"] for row in gallery.describe(np.linspace(3, len(gallery) - 3, _ROUNDS).astype(np.int64))]
    common, rare = [gallery.condition("category", ["category 1"])], [gallery.condition("brand", ["brand 700"])]
    prices = [gallery.condition("price", ["10..50"]), gallery.condition("in_stock", ["true"])]
    hidden = np.sort(np.random.default_rng(1).choice(len(gallery), len(gallery) // 1000, replace=False))
    rows = np.random.default_rng(2).integers(0, len(gallery), (_ROUNDS, 10))
    titles = [row["title"].split() for row in gallery.items.described(rows[:, 0], ["title"])]
    frequent = max({word for title in titles for word in title}, key=lambda word: str(titles).count(f"'{word}'"))
    return {
        "search, k=10": lambda n: gallery.search(queries[n], 10),
        "with 0.1 % of the rows hidden": lambda n: gallery.search(queries[n], 10, hidden=hidden),
        "one result a parent": lambda n: gallery.search(queries[n], 10, dedupe="parent"),
        "in one category of 40": lambda n: gallery.search(queries[n], 10, filters=common),
        "of one rare brand": lambda n: gallery.search(queries[n], 10, filters=rare),
        "in a range of prices, in stock": lambda n: gallery.search(queries[n], 10, filters=prices),
        "similar": lambda n: gallery.similar(ids[n], 10),
        "describe ten rows": lambda n: gallery.describe(rows[n]),
        "ten items listed by id": lambda n: gallery.listed(ids[n : n + 10]),
        "a thumbnail by id": lambda n: gallery.thumbnail(images[n]),
        "two words of a title, the last in part": lambda n: gallery.by_words(f"{titles[n][0]} {titles[n][1][:3]}", 20),
        "the most frequent word": lambda n: gallery.by_words(frequent, 20),
        "values of a column": lambda n: gallery.values("brand"),
        "examples": lambda n: gallery.examples(),
    }


def _private_mib() -> float:
    """Memory of this process alone, mapped files apart."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


if __name__ == "__main__":
    main()
