"""The gallery's part of a bundle: index, items, words, pictures, and what monitoring compares with."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from src.catalog.catalogue import Catalogue
from src.contracts.atomic_file import write_atomically
from src.contracts.bundle import (
    CONFIDENCE,
    DRIFT_REFERENCE,
    INDEX,
    ITEMS_ARROW,
    ITEMS_TABLE,
    NEIGHBOURS,
    THUMBNAILS,
    TRENDING,
    VECTOR_HASHES,
    WORDS,
    Bundle,
    Draft,
)
from src.contracts.errors import CatalogueError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import IndexSettings
from src.eval.embedded import Embedded, embed_rows
from src.export.confidence import fit_bundle_confidence
from src.export.drift_reference import write_drift_reference
from src.export.neighbour_sample import sample_neighbours
from src.export.runtime import EncoderRuntime
from src.export.runtime.neighbours import write_neighbours
from src.export.thumbnails import write_thumbnails
from src.export.trending import write_trending
from src.index.automatic import choose_index
from src.index.faiss_index import FaissIndex
from src.index.recall import check_recall
from src.index.vector_digest import vector_hashes
from src.search.items import Items
from src.search.items_file import write_items
from src.search.words import write_words

if TYPE_CHECKING:
    from src.export.milvus_export import MilvusRelease

__all__ = ["Gallery", "publish_gallery", "write_gallery"]

log = logging.getLogger(__name__)

_HELD_OUT = 500
_INTERNAL_COLUMNS = ("split", "is_query", "is_gallery", "mask")
_OF_MILVUS = ("backend", "uri", "collection", "kind", "shards")


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
) -> "MilvusRelease | None":
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

    Returns:
        What `publish_gallery` needs; None for an index in the bundle.

    Raises:
        GateError: the index misses a limit.
    """
    catalogue, rows, vectors = gallery.catalogue, gallery.rows, gallery.vectors
    if neighbours:
        chosen = sample_neighbours(catalogue, rows, spec, vectors, reference=reference)
        if chosen is not None:
            write_neighbours(draft.root / NEIGHBOURS, chosen)
    queries = _held_out(gallery, spec, runtime, batch)
    items = catalogue.items.take(rows)
    items = items.drop_columns([name for name in _INTERNAL_COLUMNS if name in items.column_names])
    pq.write_table(items, draft.root / ITEMS_TABLE, compression="zstd")
    write_items(draft.root / ITEMS_ARROW, items)
    write_words(draft.root / WORDS, Items.open(draft.root / ITEMS_ARROW))
    write_thumbnails(catalogue, rows, draft.root / THUMBNAILS, side=thumbnail)
    np.save(draft.root / VECTOR_HASHES, vector_hashes(vectors), allow_pickle=False)
    write_trending(catalogue, draft.root / TRENDING)
    _write_confidence(draft.root / CONFIDENCE, gallery, spec, runtime, batch)
    release = None
    if index.backend == "milvus":
        from src.export.milvus_export import export_to_milvus  # It takes seconds to import, and an extra.

        release = export_to_milvus(
            items,
            vectors,
            queries,
            settings=index,
            encoder_id=draft.content["encoder_id"],
            preprocessing=spec.hash,
            items_hash=hashlib.sha256((draft.root / ITEMS_TABLE).read_bytes()).hexdigest(),
        )
        draft.content["index"], draft.measured["index"] = release.content, release.quality.to_dict()
        built = FaissIndex.build(vectors, layout="exact")
    else:
        built = _write_index(draft, vectors, queries, index)
    write_drift_reference(
        draft.root / DRIFT_REFERENCE,
        catalogue=catalogue,
        rows=rows,
        spec=spec,
        runtime=runtime,
        index=built,
        encoder_id=draft.content["encoder_id"],
    )
    named: dict[str, Any] = draft.content.get("catalogue", {})
    draft.content["catalogue"] = {**named, "images": len(rows), "items": len(items["item_id"].unique())}
    return release


def publish_gallery(release: "MilvusRelease | None", index: IndexSettings, bundle: Bundle) -> None:
    """Move the alias of a Milvus collection to the bundle's, once the bundle is whole."""
    if release is None:
        return
    from src.export.milvus_export import publish

    before = publish(release, index, bundle.bundle_id)
    log.info("%s points at %s; before, at %s", index.collection, release.collection, before or "nothing")


def _write_index(draft: Draft, vectors: np.ndarray, queries: np.ndarray, settings: IndexSettings) -> FaissIndex:
    chosen = {name: value for name, value in asdict(settings).items() if name not in _OF_MILVUS}
    choice = choose_index(vectors, queries, **chosen)
    built, quality = choice.index, choice.quality
    check_recall(quality, settings.min_recall)
    log.info("index of %d vectors, recall@10 %.4f; %s", len(built), quality.recall_at_10, choice.reason)
    built.save(draft.root / INDEX)
    draft.content["index"] = {
        "layout": built.layout,
        "m": settings.m,
        "ef_construction": settings.ef_construction,
        "nlist": settings.nlist,
        "search": built.effort,
        "vectors": len(built),
    }
    draft.measured["index"] = {
        **quality.to_dict(),
        "bytes_per_vector": (draft.root / INDEX).stat().st_size / len(built),
        "choice": choice.to_dict(),
    }
    return built


def _write_confidence(
    path: Path, gallery: Gallery, spec: PreprocessingSpec, runtime: EncoderRuntime, batch: int
) -> None:
    catalogue, rows = gallery.catalogue, gallery.rows
    embedded = Embedded(gallery.vectors, catalogue.column("image_id", rows), catalogue.column("item_id", rows))
    try:
        confidence = fit_bundle_confidence(catalogue, embedded, spec, runtime.embed, batch=batch)
    except CatalogueError as error:  # Only a pipeline reads catalogues whose files nobody has looked at.
        log.warning("no confidence, since validation photos cannot be read: %s", error)
        return
    if confidence is not None:
        write_atomically(path, confidence.to_json())


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
