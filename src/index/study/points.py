"""The measured points of a study: recall and time of one index at one effort, each kept as soon as it is there."""

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from src.index.effort import efforts
from src.index.faiss_index import FaissIndex
from src.index.layouts import LAYOUTS, default_nlist
from src.index.study.builds import Builds
from src.index.study.peers import PEERS
from src.index.study.source import K, Source
from src.index.threads import faiss_threads

__all__ = ["Points", "measure", "overhead"]

_WARM = 50

Search = Callable[[np.ndarray], np.ndarray]
"""A query of shape (1, dim) to the rows found."""


class Points:
    """The points of one study, a line of JSON each; a line that was cut off by a kill is measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: list[dict[str, Any]] = []
        if path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith(b"\n")]
            self.all = [json.loads(line) for line in whole]
            with path.open("r+b") as file:
                file.truncate(sum(map(len, whole)))

    def has(self, index: str, effort: dict[str, float]) -> bool:
        """Whether a point was measured."""
        return any(point["index"] == index and point["effort"] == effort for point in self.all)

    def add(self, point: dict[str, Any]) -> None:
        """Keep a point."""
        with self._path.open("ab") as file:
            file.write(json.dumps(point).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.all.append(point)


def measure(name: str, builds: Builds, source: Source, points: Points) -> None:
    """Measure an index at each effort that has no point yet: one query at a time, on one thread, after a warm-up."""
    rows, dim = source.gallery.shape
    layout = LAYOUTS["hnsw_fp32" if name in PEERS else name]
    grid = efforts(layout, rows=rows, dim=dim, nlist=builds.nlist or default_nlist(rows))
    missing = [effort for effort in grid if not points.has(name, effort)]
    if not missing:
        return
    figures = builds.figures(name)
    with faiss_threads(1):
        for effort, search in _searches(name, builds.path(name), dim, missing):
            point = {"index": name, "effort": effort, **_measured(search, source)}
            point["bytes_per_vector"] = figures["bytes"] / rows
            points.add(point | {f"build_{figure}": figures[figure] for figure in ("wall_s", "cpu_s")})


def overhead(name: str, builds: Builds, source: Source) -> float:
    """The median time of our search over that of plain FAISS on the same index at the same effort, asked in turn."""
    index = faiss.read_index(str(builds.path(name)))
    ours = FaissIndex(index)
    names = {"ef_search": "efSearch", "nprobe": "nprobe", "k_factor": "k_factor_rf"}
    for key, value in ours.effort.items():
        faiss.ParameterSpace().set_index_parameter(index, names[key], value)
    times: tuple[list[float], list[float]] = ([], [])
    searches = (lambda query: ours.search(query, K), lambda query: index.search(query, K))
    with faiss_threads(1):
        for number in range(-_WARM, len(source.queries)):
            query = source.queries[number % len(source.queries), None]
            for which in (0, 1) if number % 2 else (1, 0):
                start = time.perf_counter()
                searches[which](query)
                if number >= 0:
                    times[which].append(time.perf_counter() - start)
    return float(np.median(times[0]) / np.median(times[1]))


def _searches(
    name: str, path: Path, dim: int, grid: list[dict[str, float]]
) -> Iterator[tuple[dict[str, float], Search]]:
    if name in PEERS:
        opened = PEERS[name].open(path, dim)
        for effort in grid:
            peer = opened(int(effort["ef_search"]))
            yield effort, partial(peer, k=K)
        return
    index = FaissIndex.load(path)
    for effort in grid:
        tuned = index.with_effort(**effort)
        yield effort, _rows(tuned)


def _rows(index: FaissIndex) -> Search:
    return lambda query: index.search(query, K)[1][0]


def _measured(search: Search, source: Source) -> dict[str, Any]:
    for query in source.queries[:_WARM]:
        search(query[None])
    found, times = [], []
    for query in source.queries:
        start = time.perf_counter()
        rows = search(query[None])
        times.append(time.perf_counter() - start)
        found.append(rows)
    recalls = np.array([source.hits(number, rows) for number, rows in enumerate(found)])
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    point = {"recall_at_10": float(recalls.mean()), "p50_ms": p50, "p99_ms": p99, "queries": len(recalls)}
    if source.categories is not None:
        of = {str(name): float(recalls[source.categories == name].mean()) for name in np.unique(source.categories)}
        point |= {
            "categories": of,
            "worst_category": min(of, key=lambda name: of[name]),
            "worst_recall": min(of.values()),
        }
    return point
