"""The pipeline's own limit: decode, embed and search in a loop, all cores busy, no HTTP."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.searcher import Searcher

__all__ = ["Way", "photos_per_second", "ways_of"]


@dataclass(frozen=True)
class Way:
    """How the cores are kept busy.

    Attributes:
        kind: `threads` of one process, or `processes`.
        workers: how many; each decodes, embeds and searches a batch after the other.
        batch: photos of one call of the encoder.
        encoder_threads: threads of one such call.
    """

    kind: str
    workers: int
    batch: int
    encoder_threads: int

    def __str__(self) -> str:
        return f"{self.workers} {self.kind}, batch {self.batch}, {self.encoder_threads} encoder thread(s) each"


def ways_of(cores: int) -> list[Way]:
    """Ways of using so many cores; the best of them gives the limit."""
    return [
        *(Way("threads", cores, batch, 1) for batch in (1, 4, 8)),
        Way("threads", cores, 8, cores),
        Way("processes", cores, 8, 1),
    ]


def photos_per_second(
    way: Way, bundle: Path, photos: list[bytes], *, seconds: float, runtime: str = "onnxruntime"
) -> float:
    """Measure one way.

    Args:
        way: of using the cores.
        bundle: whose encoder and index.
        photos: JPEGs, taken in turn.
        seconds: of measuring.
        runtime: what runs the encoder.
    """
    if way.kind == "threads":
        searcher = Searcher(bundle, encoder_threads=way.encoder_threads, runtime=runtime)
        barrier = threading.Barrier(way.workers)
        rates: list[float] = []
        threads = [
            threading.Thread(
                target=lambda: rates.append(_loop(searcher, photos, way.batch, seconds, barrier.wait)), daemon=True
            )
            for _ in range(way.workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(rates)
    context = multiprocessing.get_context("spawn")  # A fork after an OpenMP search would hang.
    together, results = context.Barrier(way.workers), context.SimpleQueue()
    arguments = (way, bundle, photos, seconds, runtime, together, results)
    processes = [context.Process(target=_in_process, args=arguments, daemon=True) for _ in range(way.workers)]
    for process in processes:
        process.start()
    rates = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(rates)


def _in_process(way, bundle, photos, seconds, runtime, together, results) -> None:  # type: ignore[no-untyped-def]
    searcher = Searcher(bundle, encoder_threads=way.encoder_threads, runtime=runtime)
    results.put(_loop(searcher, photos, way.batch, seconds, together.wait))


def _loop(searcher: Searcher, photos: list[bytes], batch: int, seconds: float, together: Callable[[], object]) -> float:
    """One worker's photos a second, from when all are ready."""
    _search(searcher, photos[:1] * batch)
    together()
    start = now = time.perf_counter()
    done = 0
    while now < start + seconds:
        _search(searcher, [photos[(done + number) % len(photos)] for number in range(batch)])
        done += batch
        now = time.perf_counter()
    return done / (now - start)


def _search(searcher: Searcher, photos: list[bytes]) -> None:
    for vector in searcher.embed(np.stack([searcher.decode(photo) for photo in photos])):
        searcher.search(vector)
