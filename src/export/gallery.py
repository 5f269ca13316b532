"""The gallery's part of a bundle: index, items, words, pictures, and what monitoring compares with."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from src.catalog.catalogue import Catalogue
from src.contracts.bundle import (
    DRIFT_REFERENCE,
    INDEX,
    ITEMS_ARROW,
    ITEMS_TABLE,
    NEIGHBOURS,
    THUMBNAILS,
    TRENDING,
    WORDS,
    Draft,
)
from src.contracts.errors import CatalogueError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import IndexSettings
from src.eval.embedded import embed_rows
from src.export.drift_reference import write_drift_reference
from src.export.neighbour_sample import sample_neighbours
from src.export.runtime import EncoderRuntime
from src.export.runtime.neighbours import write_neighbours
from src.export.thumbnails import write_thumbnails
from src.export.trending import write_trending
from src.index.automatic import choose_index
from src.index.faiss_index import FaissIndex
from src.index.recall import check_recall
from src.search.items import Items
from src.search.items_file import write_items
from src.search.words import write_words

__all__ = ["Gallery", "write_gallery"]

log = logging.getLogger(__name__)

_HELD_OUT = 500
_INTERNAL_COLUMNS = ("split", "is_query", "is_gallery", "mask")


@dataclass(frozen=True)
class Gallery:
    """Images that become searchable, with their embeddings.

    Attributes:
        catalogue: where the images are.
        rows: int64 of shape (images,).
        vectors: float32 of shape (images, dim), L2-normalised; may be a memory map.
    """

    catalogue: Catalogue
    rows: np.ndarray
    vectors: np.ndarray


def write_gallery(
    draft: Draft,
    gallery: Gallery,
    *,
    spec: PreprocessingSpec,
    runtime: EncoderRuntime,
    reference: Callable[[np.ndarray], np.ndarray] | None,
    neighbours: bool,
    index: IndexSettings,
    thumbnail: int,
    batch: int,
) -> None:
    """Index a gallery and write its files and figures into a draft that has its encoder already.

    Args:
        draft: the bundle, while it is written; gets `content["index"]`, `content["catalogue"]` and
            `measured["index"]`.
        gallery: with at least one image.
        spec: how pixels are made.
        runtime: the encoder that serves.
        reference: embeds in float32; None where the vectors are of float32.
        neighbours: whether to choose the images that a lower precision is judged by; else the draft has them.
        index: the vector index.
        thumbnail: longer side of the pictures, in pixels.
        batch: images embedded at once.

    Raises:
        GateError: the index misses a limit.
    """
    catalogue, rows, vectors = gallery.catalogue, gallery.rows, gallery.vectors
    if neighbours:
        chosen = sample_neighbours(catalogue, rows, spec, vectors, reference=reference)
        if chosen is not None:
            write_neighbours(draft.root / NEIGHBOURS, chosen)
    queries = _held_out(gallery, spec, runtime, batch)
    choice = choose_index(vectors, queries, **asdict(index))
    built, quality = choice.index, choice.quality
    check_recall(quality, index.min_recall)
    log.info("index of %d vectors, recall@10 %.4f; %s", len(built), quality.recall_at_10, choice.reason)
    built.save(draft.root / INDEX)

    items = catalogue.items.take(rows)
    items = items.drop_columns([name for name in _INTERNAL_COLUMNS if name in items.column_names])
    pq.write_table(items, draft.root / ITEMS_TABLE, compression="zstd")
    write_items(draft.root / ITEMS_ARROW, items)
    write_words(draft.root / WORDS, Items.open(draft.root / ITEMS_ARROW))
    write_thumbnails(catalogue, rows, draft.root / THUMBNAILS, side=thumbnail)
    write_drift_reference(draft.root / DRIFT_REFERENCE, catalogue, rows, spec, vectors)
    write_trending(catalogue, draft.root / TRENDING)
    draft.content["index"] = {
        "layout": built.layout,
        "m": index.m,
        "ef_construction": index.ef_construction,
        "nlist": index.nlist,
        "search": built.effort,
        "vectors": len(built),
    }
    named: dict[str, Any] = draft.content.get("catalogue", {})
    draft.content["catalogue"] = {**named, "images": len(rows), "items": len(items["item_id"].unique())}
    draft.measured["index"] = {
        **quality.to_dict(),
        "bytes_per_vector": (draft.root / INDEX).stat().st_size / len(built),
        "choice": choice.to_dict(),
    }


def _held_out(gallery: Gallery, spec: PreprocessingSpec, runtime: EncoderRuntime, batch: int) -> np.ndarray:
    """Query embeddings of validation and test; where there are none, points between neighbours of the gallery."""
    catalogue, vectors = gallery.catalogue, gallery.vectors
    rows = np.union1d(catalogue.query_rows("val"), catalogue.query_rows("test"))
    rows = np.setdiff1d(rows, catalogue.gallery_rows(None))
    rng = np.random.default_rng(0)
    if len(rows):
        chosen = np.sort(rng.choice(rows, min(_HELD_OUT, len(rows)), replace=False))
        try:
            return embed_rows(catalogue, chosen, spec, runtime.embed, batch=batch, what="queries").normalised("queries")
        except CatalogueError as error:  # only a pipeline reads catalogues whose files nobody has looked at
            log.warning("the index is measured between images of the gallery, since queries cannot be read: %s", error)
    chosen = rng.choice(len(vectors), min(_HELD_OUT, len(vectors)), replace=False)
    _, near = FaissIndex.build(vectors, layout="exact").search(vectors[chosen], min(2, len(vectors)))
    between = vectors[chosen] + vectors[near[:, -1]]
    return between / np.linalg.norm(between, axis=1, keepdims=True)
