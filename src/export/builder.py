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
    WORDS,
    Bundle,
    open_bundle,
    staged_bundle,
)
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import GateSettings, IndexSettings
from src.eval.embedded import Embedded, embed_rows
from src.export.drift_reference import write_drift_reference
from src.export.encoder_files import export_encoder
from src.export.gate_images import read_gate_images
from src.export.neighbour_sample import sample_neighbours
from src.export.runtime import EncoderRuntime
from src.export.runtime.neighbours import write_neighbours
from src.export.thumbnails import write_thumbnails
from src.export.trending import write_trending
from src.index.automatic import Choice, choose_index
from src.index.faiss_index import FaissIndex
from src.index.recall import check_recall
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
        choice = _index(catalogue, gallery, spec, exported.queries, index, batch)
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
        encoder_id = hashlib.sha256((draft.root / ENCODER).read_bytes()).hexdigest()[:16]
        write_drift_reference(
            draft.root / DRIFT_REFERENCE,
            catalogue=catalogue,
            rows=rows,
            spec=spec,
            runtime=exported.queries,
            index=built,
            encoder_id=encoder_id,
        )
        write_trending(catalogue, draft.root / TRENDING)
        draft.content |= {
            "preprocessing": spec.to_dict(),
            "encoder_id": encoder_id,
            "dim": encoder.dim,
            "metric": "cosine",
            **exported.content,
            # An encoder that may serve in bf16 is held to them at each start.
            "gates": asdict(gates),
            "index": {
                "layout": built.layout,
                "m": index.m,
                "ef_construction": index.ef_construction,
                "nlist": index.nlist,
                "search": built.effort,
                "vectors": len(built),
            },
            "catalogue": {"name": str(card["name"]), "images": len(rows), "items": len(set(gallery.item_ids))},
            # Through JSON, so that what is hashed is what is written.
            "config": json.loads(json.dumps(dict(card))),
        }
        draft.measured |= {
            **exported.measured,
            "index": {
                **quality.to_dict(),
                "bytes_per_vector": (draft.root / INDEX).stat().st_size / len(built),
                "choice": choice.to_dict(),
            },
            "evaluation": dict(evaluation),
            "versions": _versions(),
        }
    return open_bundle(output)


def _index(
    catalogue: Catalogue,
    gallery: Embedded,
    spec: PreprocessingSpec,
    runtime: EncoderRuntime,
    settings: IndexSettings,
    batch: int,
) -> Choice:
    vectors = gallery.normalised("gallery")
    return choose_index(vectors, _held_out(catalogue, vectors, spec, runtime, batch), **asdict(settings))


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
