"""Measuring sizes on this machine, one after the other; what is there already is not measured again."""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np

from src.contracts.errors import ConfigError
from src.index.capacity.figures import QUANTILES, Figures, Measured
from src.index.faiss_index import FaissIndex
from src.index.recall import measure_index
from src.index.simulated import Clustered

__all__ = ["Measurement", "measure"]

_WARM_UP = 20
_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What to measure, and where to keep it. See `--help` for the keys."""

    figures: Path = Path("outputs/capacity.json")
    layouts: tuple[str, ...] = ("exact", "hnsw_fp16")
    sizes: tuple[int, ...] = (10_000, 30_000, 100_000)
    dim: int = 512
    queries: int = 500

    def check(self) -> None:
        """Raise `ConfigError` with all that cannot be."""
        problems = []
        if min(self.sizes) < 1000:
            problems.append(f"`sizes={','.join(map(str, self.sizes))}`: at least 1000 each")
        if self.dim < 8:
            problems.append(f"`dim={self.dim}`: at least 8")
        if self.queries < 50:
            problems.append(f"`queries={self.queries}`: at least 50, or there is no P99 to speak of")
        if problems:
            raise ConfigError("; ".join(problems))


def measure(wanted: Measurement, report: Callable[[str], None]) -> Figures:
    """Measure each size and layout, small ones first, and write the file after each.

    Args:
        wanted: what.
        report: told what is being done.

    Raises:
        ConfigError: the file is of another machine.
    """
    figures = Figures.read(wanted.figures) if wanted.figures.exists() else Figures(_machine())
    if figures.machine != _machine():
        raise ConfigError(
            f"{wanted.figures} was measured on {figures.machine}, this is {_machine()}; name another file"
        )
    steps = [(rows, layout) for rows in sorted(set(wanted.sizes)) for layout in dict.fromkeys(wanted.layouts)]
    for number, (rows, layout) in enumerate(steps, start=1):
        if any((one.layout, one.rows, one.dim) == (layout, rows, wanted.dim) for one in figures.measured):
            report(f"{number}/{len(steps)}: {layout}, {rows:,} x {wanted.dim}: there already")
            continue
        report(f"{number}/{len(steps)}: {layout}, {rows:,} x {wanted.dim} ...")
        one = _measured(layout, rows, wanted.dim, wanted.queries)
        figures = replace(figures, measured=(*figures.measured, one))
        figures.write(wanted.figures)
        report(
            f"    {one.mean_seconds * 1e3:.3f} ms a query, recall@10 {one.recall_at_10:.4f}, "
            f"{one.bytes_per_vector:.0f} bytes and {one.build_seconds_per_vector * 1e3:.3f} ms of building a vector"
        )
    return figures


def _measured(layout: str, rows: int, dim: int, count: int) -> Measured:
    simulated = Clustered(rows, dim)
    vectors, (queries, _) = simulated.vectors(), simulated.queries(count)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        start = time.perf_counter()
        index = FaissIndex.build(vectors, layout=layout)
        built = time.perf_counter() - start
        recall = measure_index(index, vectors, queries[:100]).recall_at_10
        del vectors
        with tempfile.TemporaryDirectory() as folder:
            index.save(Path(folder) / "index")
            size = (Path(folder) / "index").stat().st_size
        _timed(index, queries[:_WARM_UP])
        alone = _timed(index, queries)
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as pool:
            busy = np.concatenate(list(pool.map(lambda _: _timed(index, queries), range(cores))))
    finally:
        faiss.omp_set_num_threads(threads)
    return Measured(
        layout=layout,
        rows=rows,
        dim=dim,
        bytes_per_vector=size / rows,
        build_seconds_per_vector=built / rows,
        query_seconds=tuple(np.quantile(alone, QUANTILES).tolist()),
        busy_factor=max(1.0, float(np.median(busy) / np.median(alone))),
        recall_at_10=recall,
        queries=count,
    )


def _timed(index: FaissIndex, queries: np.ndarray) -> np.ndarray:
    """Seconds of each query: the median of three rounds, so that what else the machine did is left out."""
    seconds = np.empty((_ROUNDS, len(queries)))
    # Round by round: a query asked twice running would find its rows in the cache.
    for place in np.ndindex(seconds.shape):
        start = time.perf_counter()
        index.search(queries[place[1] : place[1] + 1], 10)
        seconds[place] = time.perf_counter() - start
    return np.median(seconds, axis=0)


def _machine() -> dict[str, object]:
    """What figures hang on. The processor's name as Linux has it, which `platform` does not."""
    info = Path("/proc/cpuinfo")
    named = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    processor = named[0].partition(":")[2].strip() if named else platform.machine()
    return {"processor": processor, "cores": os.cpu_count() or 1, "faiss": faiss.__version__}
