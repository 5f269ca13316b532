"""The encoder's part of a bundle: graph, engines, golden images; with what the gates measured."""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.contracts.bundle import ENCODER, GOLDEN
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import GateSettings
from src.export.engine_build import build_engine, load_engine
from src.export.gate_images import GateImages
from src.export.onnx_export import OPSET, export_onnx
from src.export.overlap import check_overlap, recall_overlap
from src.export.parity import check_parity, measure_parity
from src.export.quantise import quantise
from src.export.runtime import EncoderRuntime, RuntimeAbsentError, open_graph
from src.export.runtime.golden import write_golden
from src.export.runtime.protocol import EMBEDDING, NORM
from src.models.encoder import Encoder
from src.models.inference import embedder, embedder_with_norms

__all__ = ["ExportedEncoder", "export_encoder"]

log = logging.getLogger(__name__)

_BATCH = 32

Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ExportedEncoder:
    """An encoder that passed its gates.

    Attributes:
        queries: runs the graph that serves.
        gallery: runs the graph that the index is made with; often the same.
        content: for the manifest.
        measured: for the manifest.
    """

    queries: EncoderRuntime
    gallery: EncoderRuntime
    content: Mapping[str, Any]
    measured: Mapping[str, Any]


def export_encoder(
    folder: Path,
    *,
    encoder: Encoder,
    spec: PreprocessingSpec,
    images: GateImages,
    precision: str,
    index_precision: str,
    engines: Sequence[str],
    engine_batch: int,
    timing_cache: Path,
    gates: GateSettings,
) -> ExportedEncoder:
    """Write `encoder.onnx`, the engines and the golden images, and hold all of it against torch.

    Args:
        folder: the bundle's, while it is written.
        encoder: in evaluation mode.
        spec: how its pixels are made.
        images: catalogue images to calibrate and measure with.
        precision: of `encoder.onnx`: `fp32`, `fp16` or `int8`.
        index_precision: of the graph that the gallery is embedded with.
        engines: TensorRT engines to build of `encoder.onnx`; see `ExportSettings.engines`.
        engine_batch: largest batch of an engine.
        timing_cache: TensorRT's timing cache, which is no part of the bundle.
        gates: the limits.

    Raises:
        GateError: a figure misses its limit.
        RuntimeAbsentError: an engine's package or GPU is not there.
    """
    reference = embedder(encoder)
    expected, norms = embedder_with_norms(encoder)(images.parity)
    kinds = sorted({precision, index_precision})
    parity: dict[str, Any] = {}
    runtimes: dict[str, EncoderRuntime] = {}
    with tempfile.TemporaryDirectory() as scratch:
        graphs = _write_graphs(Path(scratch), encoder, spec, images, kinds)
        (folder / ENCODER).write_bytes(graphs[precision].read_bytes())
        for kind in kinds:
            runtimes[kind] = open_graph(graphs[kind])
            figures = measure_parity(images.parity, expected, runtimes[kind], norms=norms)
            check_parity(figures, precision=kind, gates=gates)
            parity[kind] = {"runtime": runtimes[kind].description, **figures.to_dict()}
            log.info(
                "%s parity with torch: max abs %.1e, centred cosine %.7f", kind, figures.max_abs, figures.centred_cosine
            )
    queries, gallery = runtimes[precision], runtimes[index_precision]
    if kinds != ["fp32"]:
        overlap = _overlap(images.overlap, queries.embed, gallery.embed, reference)
        check_overlap(overlap, precision=precision, index_precision=index_precision, min_overlap=gates.min_overlap)
        parity["overlap"] = {"recall_overlap_at_10": overlap, "images": len(images.overlap)}
        log.info("queries of %s, gallery of %s: %.4f of the ten nearest by fp32", precision, index_precision, overlap)
    write_golden(folder / GOLDEN, spec, queries.embed_with_norms)
    built = {}
    for target in engines:
        log.info("building an engine: %s", target)
        cache = timing_cache if target == "tensorrt" else None
        engine = build_engine(folder / ENCODER, folder, target, batch=engine_batch, cache=cache)
        built[engine.file] = engine.to_dict() | _engine_parity(
            folder / engine.file, target, images, (expected, norms), gates
        )
    content = {"precision": precision, "index_precision": index_precision, "opset": OPSET, "outputs": [EMBEDDING, NORM]}
    return ExportedEncoder(queries, gallery, content, {"parity": parity, "engines": built})


def _write_graphs(
    scratch: Path, encoder: Encoder, spec: PreprocessingSpec, images: GateImages, kinds: Sequence[str]
) -> dict[str, Path]:
    graphs = {}
    for kind in ("fp32", "fp16"):
        if kind in kinds or (kind == "fp32" and "int8" in kinds):
            log.info("exporting the encoder to ONNX, %s", kind)
            graphs[kind] = scratch / f"{kind}.onnx"
            export_onnx(encoder, spec, graphs[kind], precision=kind)
    if "int8" in kinds:
        log.info("quantising the encoder with %d images", len(images.calibration))
        graphs["int8"] = scratch / "int8.onnx"
        quantise(graphs["fp32"], graphs["int8"], images.calibration)
    return graphs


def _overlap(pixels: np.ndarray, queries: Embed, gallery: Embed, reference: Embed) -> float:
    """Every fifth image asks for its neighbours among the others."""
    asks = np.arange(len(pixels)) % 5 == 0
    asked, rest = pixels[asks], pixels[~asks]
    return recall_overlap(
        _in_batches(queries, asked),
        _in_batches(gallery, rest),
        _in_batches(reference, asked),
        _in_batches(reference, rest),
    )


def _in_batches(embed: Embed, pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([embed(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH)])


def _engine_parity(
    engine: Path, target: str, images: GateImages, expected: tuple[np.ndarray, np.ndarray], gates: GateSettings
) -> dict[str, Any]:
    """Hold an engine against torch where its GPU is here; elsewhere the golden images judge it when it starts."""
    try:
        runtime = load_engine(engine, target)
    except RuntimeAbsentError as error:
        if target == "tensorrt":  # built for the GPU that is here: to go on would be to skip its gate
            raise
        log.warning("%s is not measured here: %s", engine.name, error)
        return {"parity": None, "not_measured": str(error)}
    figures = measure_parity(images.parity, expected[0], runtime, norms=expected[1])
    check_parity(figures, precision="fp16", gates=gates, engine=engine.name)
    return {"parity": figures.to_dict()}
