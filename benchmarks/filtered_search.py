"""Recall and latency of every way to answer a filtered search: python -m benchmarks.filtered_search.

Simulated embeddings in clusters; every query has filters of its own, which keep whole clusters: those nearest to the
query, those farthest from it, or any.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from rich.progress import track

from src.index.faiss_index import FaissIndex
from src.index.filter_plan import graph_step, plan_filter
from src.index.simulated import Clustered
from src.index.subset_scan import scan_allowed

PASS_RATES = (0.5, 0.1, 0.01, 0.001)
FILTERS = ("near", "far", "independent")
K = 10
_EF = 64
_DEEPEST = 2048

Way = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A query of shape (1, dim) and the allowed rows to the rows found."""


@dataclass
class Cell:
    """One way under one filter: what each query took, and found of the ten nearest."""

    recall: list[float]
    seconds: list[float]

    def __str__(self) -> str:
        p50, p99 = np.quantile(self.seconds, (0.5, 0.99)) * 1e3
        return f"{np.mean(self.recall):.3f} / {p50:.2f} / {p99:.2f}"


def main() -> None:
    """Print a Markdown table and the measured constant of the planner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="vectors (1000000 takes one core twenty minutes)")
    parser.add_argument("--dim", type=int, default=512, help="numbers in a vector")
    parser.add_argument("--queries", type=int, default=100, help="queries a filter")
    parser.add_argument("--index", type=Path, help="file that the HNSW index is kept in and read from")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    simulated = Clustered(arguments.rows, arguments.dim)
    vectors, cluster, queries = simulated.vectors(), simulated.clusters(), simulated.queries(arguments.queries)[0]
    index, graph = _built(vectors, arguments.index)
    table = run(vectors, cluster, queries, index, graph)
    step, counted = _measured_step(graph, queries), graph_step(arguments.dim)
    print(f"\n{arguments.rows:,} x {arguments.dim}, HNSW32 float16, one thread; recall@10 / p50 ms / p99 ms\n")
    names = list(next(iter(table.values())))
    print("| filter | passes | " + " | ".join(names) + " | planned: searches |")
    print("| --- | ---: |" + " ---: |" * (len(names) + 1))
    for (kind, rate), cells in table.items():
        plan = plan_filter(
            rows=len(vectors), passing=round(rate * len(vectors)), k=K, dim=vectors.shape[1], ef_search=_EF
        )
        first = f"graph, {plan.depth} deep" if plan.way == "graph" else "scan"
        print(f"| {kind} | {rate:.1%} | " + " | ".join(map(str, cells.values())) + f" | {first} |")
    print(f"\nOne candidate of the graph costs {step:.1f} scanned rows here; the planner counts {counted:.1f}.")
    worst = min(float(np.mean(cells["planned"].recall)) for cells in table.values())
    print(f"Lowest recall@10 of the planned search: {worst:.4f}")


def run(
    vectors: np.ndarray, cluster: np.ndarray, queries: np.ndarray, index: FaissIndex, graph: faiss.IndexHNSW
) -> dict[tuple[str, float], dict[str, Cell]]:
    """Ask every query in every way under every filter and pass rate.

    Args:
        vectors: float32 array of shape (rows, dim), L2-normalised.
        cluster: int64 array of shape (rows,), the cluster of each.
        queries: float32 array of shape (queries, dim), L2-normalised.
        index: the index over the vectors.
        graph: the same index as FAISS has it.
    """
    ways = _ways(index, graph)
    table = {(kind, rate): {name: Cell([], []) for name in ways} for kind in FILTERS for rate in PASS_RATES}
    centres = np.stack([vectors[cluster == one].mean(axis=0) for one in np.unique(cluster)])
    place = np.unique(cluster, return_inverse=True)[1]
    for number in track(range(len(queries)), description="filtered searches"):
        query = queries[number : number + 1]
        scores = vectors @ query[0]
        for kind, rate, allowed in _filters(centres @ query[0], place, number):
            best = np.sort(scores[allowed])[-K:]
            for name, way in ways.items():
                start = time.perf_counter()
                found = way(query, allowed)
                cell = table[kind, rate][name]
                cell.seconds.append(time.perf_counter() - start)
                # By score and not by row: of two equal rows either is right, and float16 may swap neighbours.
                found = found[found >= 0]
                cell.recall.append(np.count_nonzero(scores[found] >= best[0] - 1e-4) / len(best))
    return table


def _ways(index: FaissIndex, graph: faiss.IndexHNSW) -> dict[str, Way]:
    storage = faiss.downcast_index(graph.storage)

    def inside(ef_search: int) -> Way:
        def way(query: np.ndarray, allowed: np.ndarray) -> np.ndarray:
            bitmap = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bitmap), faiss.swig_ptr(bitmap))
            params = faiss.SearchParametersHNSW(sel=selector, efSearch=ef_search)
            return graph.search(query, K, params=params)[1][0]

        return way

    def further(query: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        rate = np.count_nonzero(allowed) / len(allowed)
        depth = int(min(_DEEPEST, len(allowed), max(_EF, np.ceil((K + 2 * np.sqrt(K)) / rate))))
        near = graph.search(query, depth, params=faiss.SearchParametersHNSW(efSearch=depth))[1][0]
        near = near[near >= 0]
        return near[allowed[near]][:K]

    return {
        f"bitmap in graph, ef {_EF}": inside(_EF),
        f"bitmap in graph, ef {8 * _EF}": inside(8 * _EF),
        f"further, then filtered (at most {_DEEPEST})": further,
        "scan of what passes": lambda query, allowed: scan_allowed(storage, query, K, allowed)[1][0],
        "planned": lambda query, allowed: index.search(query, K, allowed)[1][0],
    }


def _filters(nearness: np.ndarray, place: np.ndarray, seed: int) -> Iterator[tuple[str, float, np.ndarray]]:
    """Filters that keep whole clusters (the last one in part), in an order that has to do with the query or not."""
    orders = {"near": -nearness, "far": nearness, "independent": np.random.default_rng(seed).random(len(nearness))}
    for kind in FILTERS:
        by_cluster = np.argsort(orders[kind][place], kind="stable")
        for rate in PASS_RATES:
            allowed = np.zeros(len(place), bool)
            allowed[by_cluster[: max(1, round(rate * len(place)))]] = True
            yield kind, rate, allowed


def _built(vectors: np.ndarray, path: Path | None) -> tuple[FaissIndex, faiss.IndexHNSW]:
    file = path or Path("outputs/benchmarks") / f"filtered_{len(vectors)}x{vectors.shape[1]}.faiss"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        print(f"building the index, once: {file}", flush=True)
        FaissIndex.build(vectors, layout="hnsw_fp16").save(file)
    index = FaissIndex.load(file, ef_search=_EF)
    if len(index) != len(vectors) or not np.allclose(index.vectors(np.arange(3)), vectors[:3], atol=2e-3):
        raise SystemExit(f"{file} is of other vectors; delete it")
    return index, faiss.read_index(str(file))


def _measured_step(graph: faiss.IndexHNSW, queries: np.ndarray) -> float:
    """Seconds of a candidate over seconds of a scanned row: slopes, so that what a call costs falls out."""
    storage, few = faiss.downcast_index(graph.storage), queries[:30]
    narrow, wide = (_median(few, partial(_search, graph, ef_search=ef)) for ef in (128, 512))
    row = _median(few[:5], lambda q: storage.search(q, K)) / graph.ntotal
    return (wide - narrow) / (512 - 128) / row


def _search(graph: faiss.IndexHNSW, query: np.ndarray, *, ef_search: int) -> None:
    graph.search(query, K, params=faiss.SearchParametersHNSW(efSearch=ef_search))


def _median(queries: np.ndarray, search: Callable[[np.ndarray], object]) -> float:
    seconds = []
    for query in queries:
        start = time.perf_counter()
        search(query[None])
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


if __name__ == "__main__":
    main()
