"""Checkpoint and catalogue to bundle."""

import hashlib
import json
import logging
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from src.catalog.catalogue import Catalogue
from src.contracts.bundle import (
    DRIFT_REFERENCE,
    ENCODER,
    INDEX,
    ITEMS_ARROW,
    ITEMS_TABLE,
    NEIGHBOURS,
    THUMBNAILS,
    TRENDING,
    VECTOR_HASHES,
    WORDS,
    Bundle,
    open_bundle,
    staged_bundle,
)
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import GateSettings, IndexSettings
from src.eval.embedded import embed_rows
from src.export.drift_reference import write_drift_reference
from src.export.encoder_files import export_encoder
from src.export.gate_images import read_gate_images
from src.export.neighbour_sample import sample_neighbours
from src.export.runtime import EncoderRuntime
from src.export.runtime.neighbours import write_neighbours
from src.export.thumbnails import write_thumbnails
from src.export.trending import write_trending
from src.index.automatic import choose_index
from src.index.faiss_index import FaissIndex
from src.index.recall import check_recall
from src.index.vector_digest import vector_hashes
from src.models.encoder import Encoder
from src.models.inference import embedder
from src.search.items import Items
from src.search.items_file import write_items
from src.search.words import write_words

__all__ = ["build_bundle"]

log = logging.getLogger(__name__)

_HELD_OUT = 500
_INTERNAL_COLUMNS = ("split", "is_query", "is_gallery", "mask")


def build_bundle(
    output: Path,
    *,
    encoder: Encoder,
    spec: PreprocessingSpec,
    card: Mapping[str, Any],
    catalogue: Catalogue,
    index: IndexSettings,
    evaluation: Mapping[str, float],
    precision: str,
    index_precision: str,
    engines: Sequence[str],
    engine_batch: int,
    gates: GateSettings,
    parity_images: int,
    overlap_images: int,
    calibration_images: int,
    thumbnail: int,
    batch: int,
) -> Bundle:
    """Export an encoder, embed the gallery with what was exported, index it, and write all of it as one bundle.

    Args:
        output: the bundle's folder.
        encoder: in evaluation mode.
        spec: how its pixels are made.
        card: the checkpoint's.
        catalogue: its gallery, of all splits, becomes searchable.
        index: the vector index.
        evaluation: metrics of the checkpoint, for the manifest.
        precision: of the encoder that serves: `fp32`, `fp16` or `int8`.
        index_precision: of the encoder that embeds the gallery; empty for `precision`.
        engines: TensorRT engines to build; see `ExportSettings.engines`.
        engine_batch: largest batch of an engine.
        gates: how far the exported encoder may be from torch's.
        parity_images: gallery images that the distance is measured on.
        overlap_images: gallery images that the overlap of neighbours is measured on.
        calibration_images: gallery images that give the ranges of `int8`.
        thumbnail: longer side of the pictures, in pixels.
        batch: images embedded at once.

    Raises:
        GateError: the exported encoder or the index misses a limit; nothing is written then.
        LookalikeError: an empty gallery, or an output folder that is no bundle.
    """
    rows = catalogue.gallery_rows(None)
    if not len(rows):
        raise LookalikeError("the catalogue has no gallery image: there is nothing to search in")
    with staged_bundle(output) as draft:
        kinds = {precision, index_precision or precision}
        images = read_gate_images(
            catalogue,
            spec,
            parity=parity_images,
            overlap=0 if kinds == {"fp32"} else overlap_images,
            calibration=calibration_images if "int8" in kinds else 0,
        )
        exported = export_encoder(
            draft.root,
            encoder=encoder,
            spec=spec,
            images=images,
            precision=precision,
            index_precision=index_precision or precision,
            engines=engines,
            engine_batch=engine_batch,
            timing_cache=output.parent / f"{output.name}.timing",
            gates=gates,
        )
        gallery = embed_rows(catalogue, rows, spec, exported.gallery.embed, batch=batch, what="the gallery")
        true = None if (index_precision or precision) == "fp32" else embedder(encoder)
        neighbours = sample_neighbours(catalogue, rows, spec, gallery.normalised("gallery"), reference=true)
        if neighbours is not None:
            write_neighbours(draft.root / NEIGHBOURS, neighbours)
        vectors = gallery.normalised("gallery")
        held_out = _held_out(catalogue, vectors, spec, exported.queries, batch)
        items = catalogue.items.take(rows)
        items = items.drop_columns([name for name in _INTERNAL_COLUMNS if name in items.column_names])
        pq.write_table(items, draft.root / ITEMS_TABLE, compression="zstd")
        write_items(draft.root / ITEMS_ARROW, items)
        write_words(draft.root / WORDS, Items.open(draft.root / ITEMS_ARROW))
        write_thumbnails(catalogue, rows, draft.root / THUMBNAILS, side=thumbnail)
        write_drift_reference(draft.root / DRIFT_REFERENCE, catalogue, rows, spec, vectors)
        np.save(draft.root / VECTOR_HASHES, vector_hashes(vectors), allow_pickle=False)
        write_trending(catalogue, draft.root / TRENDING)
        encoder_id = _hash(draft.root / ENCODER)[:16]
        if index.backend == "milvus":
            from src.export.milvus_export import export_to_milvus  # It takes seconds to import, and an extra.

            release = export_to_milvus(
                items,
                vectors,
                held_out,
                settings=index,
                encoder_id=encoder_id,
                preprocessing=spec.hash,
                items_hash=_hash(draft.root / ITEMS_TABLE),
            )
            index_content, index_measured = release.content, release.quality.to_dict()
        else:
            index_content, index_measured = _write_index(draft.root / INDEX, vectors, held_out, index)
        draft.content |= {
            "preprocessing": spec.to_dict(),
            "encoder_id": encoder_id,
            "dim": encoder.dim,
            "metric": "cosine",
            **exported.content,
            # An encoder that may serve in bf16 is held to them at each start.
            "gates": asdict(gates),
            "index": index_content,
            "catalogue": {"name": str(card["name"]), "images": len(rows), "items": len(set(gallery.item_ids))},
            # Through JSON, so that what is hashed is what is written.
            "config": json.loads(json.dumps(dict(card))),
        }
        draft.measured |= {
            **exported.measured,
            "index": index_measured,
            "evaluation": dict(evaluation),
            "versions": _versions(),
        }
    bundle = open_bundle(output)
    if index.backend == "milvus":
        from src.export.milvus_export import publish

        before = publish(release, index, bundle.bundle_id)
        log.info("%s points at %s; before, at %s", index.collection, release.collection, before or "nothing")
    return bundle


_OF_MILVUS = ("backend", "uri", "collection", "kind", "shards")


def _write_index(
    path: Path, vectors: np.ndarray, queries: np.ndarray, settings: IndexSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the FAISS index; returns what it is and what was measured, for the manifest."""
    chosen = {name: value for name, value in asdict(settings).items() if name not in _OF_MILVUS}
    choice = choose_index(vectors, queries, **chosen)
    built, quality = choice.index, choice.quality
    check_recall(quality, settings.min_recall)
    log.info("index of %d vectors, recall@10 %.4f; %s", len(built), quality.recall_at_10, choice.reason)
    built.save(path)
    content = {
        "layout": built.layout,
        "m": settings.m,
        "ef_construction": settings.ef_construction,
        "nlist": settings.nlist,
        "search": built.effort,
        "vectors": len(built),
    }
    per_vector = path.stat().st_size / len(built)
    return content, {**quality.to_dict(), "bytes_per_vector": per_vector, "choice": choice.to_dict()}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _held_out(
    catalogue: Catalogue, gallery: np.ndarray, spec: PreprocessingSpec, runtime: EncoderRuntime, batch: int
) -> np.ndarray:
    """Query embeddings of validation and test; where there are none, points between neighbours of the gallery."""
    rows = np.union1d(catalogue.query_rows("val"), catalogue.query_rows("test"))
    rows = np.setdiff1d(rows, catalogue.gallery_rows(None))
    rng = np.random.default_rng(0)
    if len(rows):
        chosen = np.sort(rng.choice(rows, min(_HELD_OUT, len(rows)), replace=False))
        return embed_rows(catalogue, chosen, spec, runtime.embed, batch=batch, what="queries").normalised("queries")
    chosen = rng.choice(len(gallery), min(_HELD_OUT, len(gallery)), replace=False)
    _, near = FaissIndex.build(gallery, layout="exact").search(gallery[chosen], min(2, len(gallery)))
    between = gallery[chosen] + gallery[near[:, -1]]
    return between / np.linalg.norm(between, axis=1, keepdims=True)


def _versions() -> dict[str, str]:
    # The CPU's and the GPU's builds are packages of different names; one of each pair is there.
    builds = ("onnxruntime", "onnxruntime-gpu", "faiss-cpu", "faiss-gpu")
    packages = ("torch", "timm", "onnx", "openvino", "numpy", "pillow", "simplejpeg", *builds)
    installed = {distribution.metadata["Name"].lower(): distribution.version for distribution in distributions()}
    found = {name: installed[name] for name in packages if name in installed}
    return {"python": platform.python_version(), "git_commit": _git_commit(), **found}


def _git_commit() -> str:
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # A fixed command: nothing of it comes from a caller.
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
