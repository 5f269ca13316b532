"""Checkpoint and catalogue to bundle."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from src.catalog.catalogue import Catalogue
from src.contracts.bundle import ENCODER, Bundle, open_bundle, staged_bundle
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import GateSettings, IndexSettings
from src.eval.embedded import embed_rows
from src.export.encoder_files import export_encoder
from src.export.gallery import Gallery, publish_gallery, write_gallery
from src.export.gate_images import read_gate_images
from src.export.versions import versions
from src.models.encoder import Encoder
from src.models.inference import embedder

__all__ = ["build_bundle"]


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
        draft.content |= {
            "preprocessing": spec.to_dict(),
            "encoder_id": hashlib.sha256((draft.root / ENCODER).read_bytes()).hexdigest()[:16],
            "dim": encoder.dim,
            "metric": "cosine",
            **exported.content,
            # An encoder that may serve in bf16 is held to them at each start.
            "gates": asdict(gates),
            "catalogue": {"name": str(card["name"])},
            # Through JSON, so that what is hashed is what is written.
            "config": json.loads(json.dumps(dict(card))),
        }
        draft.measured |= {**exported.measured, "evaluation": dict(evaluation), "versions": versions()}
        true = None if (index_precision or precision) == "fp32" else embedder(encoder)
        release = write_gallery(
            draft,
            Gallery(catalogue, rows, gallery.normalised("gallery")),
            spec=spec,
            runtime=exported.queries,
            reference=true,
            neighbours=True,
            index=index,
            thumbnail=thumbnail,
            batch=batch,
        )
    bundle = open_bundle(output)
    publish_gallery(release, index, bundle)
    return bundle
