"""What live updates cost: python -m benchmarks.live_index.

Upserts a second by how they arrive, the time of a search beside the plain main index at growing deltas and tombstones,
the time of a merge and of searches during it, and the time to open again. Vectors are simulated: clusters with noise.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from src.index.live import LiveIndex, LiveSettings


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="images in the main index")
    parser.add_argument("--dim", type=int, default=128, help="numbers in a vector")
    parser.add_argument("--layout", default="hnsw_fp16", help="of the main index: exact or an HNSW layout")
    parser.add_argument("--deltas", type=int, nargs="+", default=[1_000, 10_000], help="delta sizes to search at")
    parser.add_argument("--queries", type=int, default=300, help="searches a figure")
    parser.add_argument("--folder", type=Path, help="where the index is written; the disk decides the upserts")
    arguments = parser.parse_args()
    lines: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        _measure(arguments, Path(folder) / "index", lambda what, figure: lines.append((what, figure)))
    print(f"{arguments.rows} x {arguments.dim}, {arguments.layout}, k 10, one thread of FAISS\n")
    print("| what | figure |\n| --- | ---: |")
    for what, figure in lines:
        print(f"| {what} | {figure} |")


def _measure(arguments: argparse.Namespace, folder: Path, line: Callable[[str, str], None]) -> None:
    faiss.omp_set_num_threads(1)
    vectors = _clustered(arguments.rows + sum(arguments.deltas) + 4_000, arguments.dim)
    main, spare = vectors[: arguments.rows], vectors[arguments.rows :]
    queries = _clustered(arguments.queries, arguments.dim, seed=1)
    names = [f"image-{row}" for row in range(arguments.rows)]
    start = time.perf_counter()
    index = LiveIndex.create(
        folder,
        image_ids=names,
        item_ids=names,
        vectors=main,
        settings=LiveSettings(layout=arguments.layout, merge_rows=0),
    )
    line("create, with the recall gate (s)", f"{time.perf_counter() - start:.1f}")
    plain = index.snapshot().generation.index
    line("search, plain main index, p50 / p99 (ms)", _times(lambda query: plain.search(query, 10), queries))
    line("search, live, delta empty (ms)", _times(lambda query: index.snapshot().search(query, 10), queries))

    single = _upserts(index, spare[:200], threads=1, batch=1)
    line("upserts/s, one thread, one a call (a sync each)", f"{single:.0f}")
    line(
        "upserts/s, 16 threads, one a call (group commit)",
        f"{_upserts(index, spare[200:1_800], threads=16, batch=1):.0f}",
    )
    line("upserts/s, one thread, 1000 a call", f"{_upserts(index, spare[1_800:3_800], threads=1, batch=1_000):.0f}")
    metrics = index.metrics()
    line("call to visible, p50 / p99 (ms)", f"{metrics.lag_p50_ms:.2f} / {metrics.lag_p99_ms:.2f}")

    index.merge()
    used = 4_000
    for rows in arguments.deltas:
        missing = rows - index.metrics().delta_rows
        _upserts(index, spare[used : used + missing], threads=1, batch=1_000)
        used += missing
        line(
            f"search, live, {rows} rows in the delta (ms)",
            _times(lambda query: index.snapshot().search(query, 10), queries),
        )
        delta = faiss.IndexFlatIP(arguments.dim)
        delta.add(spare[:rows])
        line(f"FAISS Flat over {rows} rows alone (ms)", _times(lambda query: delta.search(query, 10), queries))  # noqa: B023
    start = time.perf_counter()
    index.close()
    index = LiveIndex.open(folder, verify=False)
    line("open again, log replayed, hashes not verified (s)", f"{time.perf_counter() - start:.2f}")
    index.delete(names[: arguments.rows // 20])
    line("and 5 % tombstones (ms)", _times(lambda query: index.snapshot().search(query, 10), queries))

    merging = threading.Thread(target=index.merge)
    merging.start()
    during: list[float] = []
    while merging.is_alive():
        start = time.perf_counter()
        index.snapshot().search(queries[len(during) % len(queries)][None], 10)
        during.append((time.perf_counter() - start) * 1e3)
    merging.join()
    metrics = index.metrics()
    line("merge, with the recall gate (s)", f"{metrics.merge_seconds:.1f}")
    line("search while it merges (ms)", f"{np.percentile(during, 50):.2f} / {np.percentile(during, 99):.2f}")
    line("recall@10 of the merged index", f"{metrics.merge_recall_at_10:.4f}")
    line("search after it (ms)", _times(lambda query: index.snapshot().search(query, 10), queries))
    line("bytes a row beside the main index: died, item, two orders", "8 + 8 + 16")
    line(f"bytes a delta row, dim {arguments.dim}", f"{4 * arguments.dim + 16} and its columns")
    index.close()


def _upserts(index: LiveIndex, vectors: np.ndarray, *, threads: int, batch: int) -> float:
    """Upserts a second of new images."""
    taken = index.metrics().sequence

    def write(own: np.ndarray) -> None:
        for start in range(0, len(own), batch):
            rows = own[start : start + batch]
            names = [f"new-{taken}-{row}" for row in rows]
            index.upsert(names, names, vectors[rows])

    writers = [threading.Thread(target=write, args=(own,)) for own in np.array_split(np.arange(len(vectors)), threads)]
    start = time.perf_counter()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return len(vectors) / (time.perf_counter() - start)


def _times(search: Callable[[np.ndarray], object], queries: np.ndarray) -> str:
    times = []
    for query in [*queries[:20], *queries]:
        start = time.perf_counter()
        search(query[None])
        times.append((time.perf_counter() - start) * 1e3)
    return f"{np.percentile(times[20:], 50):.2f} / {np.percentile(times[20:], 99):.2f}"


def _clustered(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    """Unit vectors round 1000 centres, noise half as long as the centre."""
    centres = np.random.default_rng(7).standard_normal((1000, dim), dtype=np.float32)
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, len(centres), rows)] + 0.5 * rng.standard_normal((rows, dim), dtype=np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main()
