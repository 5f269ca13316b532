"""Which layout an index gets: the simplest that keeps its budgets, found by measuring, and why, in words.

The idea is autofaiss' (memory, latency and recall in, an index out); the figures are measured a query at a time, since
that is what a service does. FAISS's `ParameterSpace.explore` does not fit: it times batches and changes an index that
others search; nor does its `IntersectionCriterion`, which takes only one of two equal vectors for right.
"""

import logging
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from src.contracts.errors import GateError
from src.index.construction import construct, links
from src.index.effort import efforts
from src.index.faiss_index import FaissIndex
from src.index.layouts import LAYOUTS, LEARNS_FROM, Layout, choose_layout, default_nlist, layout_named
from src.index.recall import IndexQuality, kth_scores, measure_index

__all__ = ["CANDIDATES", "SAMPLE", "Candidate", "Choice", "choose_index"]

log = logging.getLogger(__name__)

CANDIDATES = ("exact", "hnsw_fp16", "ivf_rabitq_fp16", "hnsw_sq8", "ivf_rabitq_sq8", "ivf_sq8")
"""In the order in which they are tried: the fewest settings and the truest vectors first. float32 storage finds no more
than float16 does, and PQ no more than RaBitQ at equal bytes."""

SAMPLE = 100_000
"""Vectors that layouts are compared on; larger galleries are sampled, and only what passes is built in full."""


@dataclass
class Candidate:
    """One layout and how it did.

    Attributes:
        layout: its name.
        gigabytes: 10^9 bytes of its file for all vectors.
        verdict: `chosen`, or why not.
        points: what was measured: effort, recall and times; on `vectors` of the vectors, times as expected for all.
        vectors: how many vectors it was measured on.
    """

    layout: str
    gigabytes: float
    verdict: str = "not needed"
    points: list[dict[str, Any]] = field(default_factory=list)
    vectors: int = 0


@dataclass(frozen=True)
class Choice:
    """An index and why it is this one.

    Attributes:
        index: built over all vectors, at the effort that was found.
        quality: as measured on all vectors.
        reason: one sentence.
        candidates: what was tried; empty where nothing had to be.
    """

    index: FaissIndex
    quality: IndexQuality
    reason: str
    candidates: list[Candidate]

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {"reason": self.reason, "candidates": [asdict(candidate) for candidate in self.candidates]}


def choose_index(
    vectors: np.ndarray,
    queries: np.ndarray,
    *,
    layout: str,
    memory_gb: float | None,
    max_latency_ms: float | None,
    min_recall: float,
    m: int,
    ef_construction: int,
    nlist: int | None,
    ef_search: int,
    nprobe: int,
    k_factor: float,
) -> Choice:
    """Build the index of a gallery.

    Args:
        vectors: float32 array of shape (rows, dim), L2-normalised.
        queries: float32 array of shape (queries, dim), L2-normalised, not among the vectors.
        layout: a layout, or `auto`.
        memory_gb: with `auto`, 10^9 bytes that the file may have.
        max_latency_ms: with `auto`, the p99 of single queries on one thread.
        min_recall: recall@10 to reach.
        m: as in `FaissIndex.build`, like all that follow; with a budget the last three are found by measuring.
        ef_construction: likewise.
        nlist: likewise.
        ef_search: likewise.
        nprobe: likewise.
        k_factor: likewise.

    Raises:
        GateError: no layout keeps the budgets; the message has the nearest that can be kept.
        LookalikeError: an unknown layout, or too few vectors for it.
    """
    built: dict[str, Any] = {"m": m, "ef_construction": ef_construction, "nlist": nlist}
    if layout != "auto" or (memory_gb is None and max_latency_ms is None):
        name = choose_layout(len(vectors)) if layout == "auto" else layout
        why = "set" if layout != "auto" else f"the layout for {len(vectors)} vectors where no budget is given"
        effort: dict[str, Any] = {"ef_search": ef_search, "nprobe": nprobe, "k_factor": k_factor}
        index = FaissIndex(construct(vectors, layout_named(name), **built), **effort)
        return Choice(index, measure_index(index, vectors, queries), f"{name}: {why}", [])
    search = _Search(vectors, queries, memory_gb, max_latency_ms, min_recall, built)
    for candidate in search.candidates:
        found = search.try_out(candidate)
        log.info("%s: %s", candidate.layout, candidate.verdict)
        if found is not None:
            reason = f"{candidate.layout}: the first of {', '.join(CANDIDATES)} that keeps {search.budgets()}"
            return Choice(*found, reason, search.candidates)
    raise GateError(search.refusal())


class _Search:
    """One choice under way."""

    def __init__(
        self,
        vectors: np.ndarray,
        queries: np.ndarray,
        memory_gb: float | None,
        max_latency_ms: float | None,
        min_recall: float,
        built: dict[str, Any],
    ) -> None:
        self._vectors, self._queries, self._built = vectors, queries, built
        self._memory_gb, self._max_latency_ms, self._min_recall = memory_gb, max_latency_ms, min_recall
        rows, dim = vectors.shape
        self._sample = vectors
        if rows > SAMPLE:
            self._sample = vectors[np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))]
        self._graphs: dict[int, Any] = {}
        names = [name for name in CANDIDATES if rows >= LEARNS_FROM or not LAYOUTS[name].clustered]
        self.candidates = [
            Candidate(name, LAYOUTS[name].bytes_per_vector(rows, dim, m=built["m"], nlist=built["nlist"]) * rows / 1e9)
            for name in names
        ]

    def try_out(self, candidate: Candidate) -> tuple[FaissIndex, IndexQuality] | None:
        """The index and its figures where a candidate keeps all budgets; else the verdict says what it misses."""
        if self._memory_gb is not None and candidate.gigabytes > self._memory_gb:
            candidate.verdict = f"needs {candidate.gigabytes:.4g} GB"
            return None
        found = self._measured(candidate, self._sample)
        if found is None or len(self._sample) == len(self._vectors):
            return found
        return self._measured(candidate, self._vectors)

    def budgets(self) -> str:
        """All that is asked for, as settings."""
        given = {"memory_gb": self._memory_gb, "max_latency_ms": self._max_latency_ms, "min_recall": self._min_recall}
        return ", ".join(f"`index.{name}={value:g}`" for name, value in given.items() if value is not None)

    def refusal(self) -> str:
        """What is impossible, each candidate's reason, and the nearest budgets that would do."""
        for candidate in self.candidates:
            if not candidate.points:
                verdict = candidate.verdict
                self._measured(candidate, self._sample)
                candidate.verdict = verdict
        lines = [
            f"no layout of {len(self._vectors)} vectors of {self._vectors.shape[1]} numbers keeps {self.budgets()}"
        ]
        lines += [f"  {candidate.layout}: {candidate.verdict}" for candidate in self.candidates]
        nearest = self._nearest()
        lines += ["nearest that would do, one budget changed:" if nearest else "no single change of a budget would do"]
        return "\n".join(lines + nearest)

    def _nearest(self) -> list[str]:
        every = [(candidate, point) for candidate in self.candidates for point in candidate.points]
        small = [pair for pair in every if self._memory_gb is None or pair[0].gigabytes <= self._memory_gb]
        quick = [pair for pair in every if self._is_quick(pair[1])]
        good = [pair for pair in every if pair[1]["recall_at_10"] >= self._min_recall]
        lines = []
        if both := [pair for pair in quick if pair in good]:
            least = min(both, key=lambda pair: pair[0].gigabytes)
            lines.append(f"  `index.memory_gb={_above(least[0].gigabytes):g}` ({least[0].layout})")
        if both := [pair for pair in small if pair in good]:
            least = min(both, key=lambda pair: pair[1]["p99_ms"])
            lines.append(f"  `index.max_latency_ms={_above(least[1]['p99_ms']):g}` ({least[0].layout})")
        if both := [pair for pair in small if pair in quick]:
            best = max(both, key=lambda pair: pair[1]["recall_at_10"])
            recall = np.floor(best[1]["recall_at_10"] * 1e4) / 1e4
            lines.append(f"  `index.min_recall={recall:g}` ({best[0].layout})")
        return lines

    def _measured(self, candidate: Candidate, vectors: np.ndarray) -> tuple[FaissIndex, IndexQuality] | None:
        layout, all_rows = LAYOUTS[candidate.layout], len(self._vectors)
        index = FaissIndex(self._constructed(vectors, layout))
        kth = kth_scores(vectors, self._queries)
        slowdown = layout.slowdown(len(vectors), all_rows)
        candidate.points, candidate.vectors = [], len(vectors)
        nlist = self._built["nlist"] or default_nlist(len(vectors))
        for effort in efforts(layout, rows=len(vectors), dim=vectors.shape[1], nlist=nlist):
            tuned = index.with_effort(**effort)
            quality = measure_index(tuned, vectors, self._queries, kth=kth)
            point = {"effort": effort, "recall_at_10": quality.recall_at_10, "p50_ms": quality.p50_ms * slowdown}
            candidate.points.append(point | {"p99_ms": quality.p99_ms * slowdown})
            if quality.recall_at_10 >= self._min_recall and self._is_quick(candidate.points[-1]):
                candidate.verdict = "chosen"
                return tuned, quality
        candidate.verdict = self._missed(candidate)
        return None

    def _missed(self, candidate: Candidate) -> str:
        reached = [point for point in candidate.points if point["recall_at_10"] >= self._min_recall]
        if not reached:
            return f"reaches a recall of {max(point['recall_at_10'] for point in candidate.points):.4f} only"
        least = min(point["p99_ms"] for point in reached)
        rows = len(self._vectors)
        grown = f", expected from {candidate.vectors} vectors" if candidate.vectors < rows else ""
        growth = f" (time grows {LAYOUTS[candidate.layout].growth})" if grown else ""
        return f"takes {least:.3g} ms (p99) at that recall{grown}{growth}"

    def _constructed(self, vectors: np.ndarray, layout: Layout) -> Any:
        given = dict(self._built)
        if layout.structure == "hnsw":
            rows = len(vectors)
            if rows not in self._graphs:
                made = links(vectors, m=given["m"], ef_construction=given["ef_construction"])
                self._graphs = {rows: made}
            given["graph"] = self._graphs[rows]
        return construct(vectors, layout, **given)

    def _is_quick(self, point: dict[str, Any]) -> bool:
        return self._max_latency_ms is None or point["p99_ms"] <= self._max_latency_ms


def _above(value: float) -> float:
    """A little more, to three digits: a budget that the figure keeps."""
    step = 10 ** (np.floor(np.log10(value)) - 2)
    return float(np.ceil(value / step) * step)
