"""Apply the re-ranking stages to a ranking, and measure the time of each."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from src.contracts.settings.rerank import RerankSettings
from src.eval.embedded import Embedded
from src.eval.ranking import NEVER, Ranking
from src.eval.rerank_stages import Stage, make_stages
from src.index.faiss_index import FaissIndex
from src.index.reranking.candidates import Candidates, in_steps

__all__ = ["Reranked", "rerank"]

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Reranked:
    """The ranking after a stage.

    Attributes:
        stage: its name; `search` for the ranking before the first stage.
        ranking: in the new order.
        ms: median time of this stage for one query, in milliseconds.
    """

    stage: str
    ranking: Ranking
    ms: float


def rerank(queries: Embedded, gallery: Embedded, ranking: Ranking, settings: RerankSettings) -> list[Reranked]:
    """Re-rank each query's results by all stages, one after the other.

    The stages get the first `settings.depth` results, each by the image that was found for it, and change their order.
    Results beyond keep their ranks, so that no metric beyond that depth changes; what the search left out (the query's
    own image above all) stays out. Ties are broken pessimistically after each stage. Memory: candidates' vectors in
    chunks of 64 MiB, and what the stages document.

    Args:
        queries: the query images.
        gallery: the gallery images.
        ranking: of the search, with at least `settings.depth` results a query where there are as many.
        settings: the stages.

    Returns:
        The search, then each stage applied to the result of the one before.

    Raises:
        ConfigError: the gallery lacks a column that a stage needs.
    """
    stages = make_stages(settings, gallery)
    results = _Results(queries, gallery, ranking, settings.depth)
    scores = {name: np.full(results.rows.shape, -np.inf, np.float32) for name in stages}
    for chunk in results.chunks():
        found = results.candidates(chunk)
        for name, stage in stages.items():
            found = stage(found, results.rows[chunk])
            scores[name][chunk] = found.scores
    times = _times(results, stages, settings.timed)
    done = [Reranked("search", ranking, times["search"])]
    return done + [Reranked(name, results.reordered(scores[name]), times[name]) for name in stages]


class _Results:
    """The first results of each query, which can be put into another order."""

    def __init__(self, queries: Embedded, gallery: Embedded, ranking: Ranking, depth: int) -> None:
        self.query_vectors = queries.normalised("queries")
        self.gallery_vectors = gallery.normalised("gallery")
        self.rows = ranking.top_rows[:, :depth]
        self._scores = ranking.top_scores[:, :depth]
        self._ranking = ranking
        self._relevant = (self.rows >= 0) & (gallery.item_ids[self.rows] == queries.item_ids[:, None])

    def chunks(self) -> list[np.ndarray]:
        """Groups of queries whose candidates fit into `_CHUNK_BYTES`."""
        step = max(1, _CHUNK_BYTES // (4 * self.rows.shape[1] * self.gallery_vectors.shape[1]))
        return [np.arange(at, min(at + step, len(self.rows))) for at in range(0, len(self.rows), step)]

    def candidates(self, chunk: np.ndarray) -> Candidates:
        """The candidates of some queries."""
        return Candidates(self.query_vectors[chunk], self.gallery_vectors[self.rows[chunk]], self._scores[chunk])

    def reordered(self, scores: np.ndarray) -> Ranking:
        """The ranking with its first results ordered by these scores; of equal scores the lower grade ranks first."""
        old, depth = self._ranking, self.rows.shape[1]
        order = np.lexsort((old.top_grades[:, :depth], -in_steps(scores)), axis=-1)

        def sorted_(values: np.ndarray) -> np.ndarray:
            return np.concatenate([np.take_along_axis(values[:, :depth], order, axis=1), values[:, depth:]], axis=1)

        relevant = np.take_along_axis(self._relevant, order, axis=1)
        within = np.sort(np.where(relevant, np.arange(1, depth + 1), NEVER), axis=1)
        # Positives among the first results precede those beyond, whose ranks stay.
        width = old.ranks.shape[1]
        within = np.pad(within, ((0, 0), (0, max(0, width - depth))), constant_values=NEVER)[:, :width]
        places = np.arange(width)
        ranks = np.where(places < relevant.sum(axis=1)[:, None], within, old.ranks)
        top_scores = np.concatenate([np.take_along_axis(scores, order, axis=1), old.top_scores[:, depth:]], axis=1)
        return replace(
            old,
            ranks=ranks,
            top_rows=sorted_(old.top_rows),
            top_scores=top_scores,
            top_grades=sorted_(old.top_grades),
        )


def _times(results: _Results, stages: Mapping[str, Stage], timed: int) -> dict[str, float]:
    """Median milliseconds for single queries: an exact search that also reads the vectors, then each stage."""
    index = FaissIndex.build(results.gallery_vectors, layout="exact")
    chosen = np.linspace(0, len(results.rows) - 1, min(timed, len(results.rows))).astype(int)
    times: dict[str, list[float]] = {name: [] for name in ("search", *stages)}
    for query in chosen:
        one = np.array([query])
        start = time.perf_counter()
        index.search(results.query_vectors[one], results.rows.shape[1])
        found = results.candidates(one)
        times["search"].append(time.perf_counter() - start)
        for name, stage in stages.items():
            start = time.perf_counter()
            found = stage(found, results.rows[one])
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values) * 1e3) for name, values in times.items()}
