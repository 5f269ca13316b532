"""A new main index from a snapshot: built aside, and taken only if it finds what exact search finds."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from src.contracts.errors import GateError
from src.index.faiss_index import FaissIndex
from src.index.layouts import choose_layout
from src.index.live.generation import (
    Generation,
    GenerationFacts,
    generation_path,
    write_generation,
    write_vectors,
)
from src.index.live.settings import LiveSettings
from src.index.live.snapshot import Snapshot
from src.index.recall import measure_index

__all__ = ["MergeReport", "build_generation", "merge_snapshot"]

_BLOCK = 65_536


@dataclasses.dataclass(frozen=True)
class MergeReport:
    """How a merge ended.

    Attributes:
        rows: images in the new main index.
        seconds: from its start to its end.
        recall_at_10: of the new index against exact search.
        abandoned: why the new index was not taken; empty when it was.
    """

    rows: int
    seconds: float
    recall_at_10: float
    abandoned: str = ""


def merge_snapshot(folder: Path, snapshot: Snapshot, *, number: int, first_segment: int) -> Generation:
    """Write the rows that are alive in a snapshot as a generation; it does not count yet.

    Args:
        folder: the live index's.
        snapshot: what is merged.
        number: of the new generation.
        first_segment: the log segment that begins behind the snapshot.

    Raises:
        GateError: the new index finds too little; nothing of it is left.
    """
    rows = np.flatnonzero(snapshot.alive)
    blocks = (snapshot.vectors(rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK))
    facts = dataclasses.replace(
        snapshot.generation.facts,
        number=number,
        sequence=snapshot.sequence,
        first_segment=first_segment,
        rows=len(rows),
    )
    return build_generation(folder, facts, blocks, snapshot.rows.take(pa.array(rows)))


def build_generation(folder: Path, facts: GenerationFacts, blocks: Iterator[np.ndarray], rows: pa.Table) -> Generation:
    """Build, measure and write a generation.

    Args:
        folder: the live index's.
        facts: of the new generation; its recall is filled in here.
        blocks: the vectors, float32 arrays of shape (n, dim), in the order of the rows.
        rows: `image_id`, `item_id` and the attributes.

    Raises:
        GateError: the index finds too little; nothing of it is left.
    """
    part = generation_path(folder, facts.number).with_suffix(".part")
    part.mkdir()
    try:
        vectors = write_vectors(part / "vectors.npy", blocks, (facts.rows, facts.dim))
        index = _build_index(vectors, facts.settings)
        recall = recall_at_10(index, vectors, facts.settings.gate_queries)
        if recall < facts.settings.min_recall:
            raise GateError(
                f"the new main index's recall@10 is {recall:.4f} on {facts.settings.gate_queries} queries, "
                f"`min_recall={facts.settings.min_recall}` (off by {facts.settings.min_recall - recall:.4f}): it was "
                "not taken, and what there was goes on with all changes. Create the index again with a higher "
                "`ef_search` or `m`"
            )
        place = write_generation(part, dataclasses.replace(facts, recall_at_10=recall), index, rows)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    # Written a moment ago, so not read again for its hashes.
    return Generation(place, index=index)


def _build_index(vectors: np.ndarray, settings: LiveSettings) -> FaissIndex:
    layout = choose_layout(len(vectors)) if settings.layout == "auto" else settings.layout
    return FaissIndex.build(
        vectors,
        layout=layout,
        m=settings.m,
        ef_construction=settings.ef_construction,
        ef_search=settings.ef_search,
    )


def recall_at_10(index: FaissIndex, vectors: np.ndarray, queries: int) -> float:
    """The mean share of the true ten nearest that an index finds, of queries that are made here.

    They are random rows with noise as long as a third of them: near the catalogue, as user photos are, but none of its
    rows.

    Args:
        index: over `vectors`.
        vectors: float32 array of shape (rows, dim), L2-normalised.
        queries: how many to ask.
    """
    if not len(vectors):
        return 1.0
    rng = np.random.default_rng(0)
    asked = vectors[np.sort(rng.integers(0, len(vectors), queries))]
    asked = asked + rng.standard_normal(asked.shape, dtype=np.float32) / (3 * np.sqrt(vectors.shape[1]))
    asked = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
    return measure_index(index, vectors, asked).recall_at_10
