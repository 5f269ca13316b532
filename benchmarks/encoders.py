"""Latency and faithfulness of the CPU's runtimes: python -m benchmarks.encoders NAME=CKPT ... --data DIR.

All embed the pictures of the grocery catalogue in DIR; without `--data` only times are measured. Networks without a
checkpoint have new weights: as quick as trained ones. What they find means nothing, but whether a runtime finds the
same as torch does is measured all the same.

torch's bf16 is autocast. A CPU without bf16 instructions emulates it: its embeddings are those of bf16, its times are
not.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.catalog.catalogue import open_catalogue
from src.commandline import composed
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.exit_codes import exit_with_message
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import TrainSettings
from src.export.gate_images import read_gate_images
from src.export.onnx_export import export_onnx
from src.export.overlap import recall_overlap
from src.export.quantise import quantise
from src.export.runtime import OnnxEncoder, OpenvinoEncoder
from src.export.runtime.cosines import centred_cosine
from src.models.checkpoint import load_encoder
from src.models.encoder import Encoder, build_encoder
from src.models.inference import embedder

Embed = Callable[[np.ndarray], np.ndarray]

_BATCHES = (1, 8)
_NEW = {"ViT-S/16": "vit_small_patch16_224", "ViT-B/16": "vit_base_patch16_224"}


@dataclass(frozen=True)
class MeasuredEncoder:
    """A network, and images of a catalogue where there is one."""

    name: str
    encoder: Encoder
    spec: PreprocessingSpec
    images: np.ndarray | None
    calibration: np.ndarray


def main() -> None:
    """Print one Markdown table, last."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description=__doc__)
    parser.add_argument("trained", nargs="*", metavar="NAME=CKPT", help="checkpoints, and what to call them")
    parser.add_argument("--data", type=Path, help="the grocery catalogue: what all of them embed")
    parser.add_argument("--seconds", type=float, default=8, help="at most, for one runtime at one batch size")
    parser.add_argument("--images", type=int, default=1000, help="catalogue images for the overlap of neighbours")
    parser.add_argument("--new", nargs="*", choices=_NEW, default=list(_NEW), help="networks with new weights")
    arguments = parser.parse_args()
    with exit_with_message(), tempfile.TemporaryDirectory() as scratch:
        rows = [
            row
            for measured in _measured_encoders(arguments)
            for row in _measure(measured, Path(scratch), arguments.seconds)
        ]
        print("\n| encoder | runtime | 1: p50 ms | p99 | 8: p50 ms | p99 | images/s at 8 | centred cosine | overlap |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        print("\n".join(rows))


def _measured_encoders(arguments: argparse.Namespace) -> Iterator[MeasuredEncoder]:
    for given in arguments.trained:
        name, _, checkpoint = given.rpartition("=")
        if not name:
            raise ConfigError(f"`{given}`: must be NAME=CKPT")
        encoder, spec, _ = load_encoder(Path(checkpoint))
        yield _with_images(name, encoder, spec, arguments)
    for name in arguments.new:
        torch.manual_seed(0)
        spec = PreprocessingSpec(size=224)
        encoder = build_encoder(spec=spec, backbone=_NEW[name]).eval()
        yield _with_images(f"{name}, new weights", encoder, spec, arguments)


def _with_images(
    name: str, encoder: Encoder, spec: PreprocessingSpec, arguments: argparse.Namespace
) -> MeasuredEncoder:
    name = f"{name}, {spec.size} px"
    if not arguments.data:
        noise = np.random.default_rng(0).integers(0, 256, (8, spec.size, spec.size, 3), dtype=np.uint8)
        return MeasuredEncoder(name, encoder, spec, None, noise)
    data = composed(TrainSettings, "train", "data=grocery", f"data.root={arguments.data}").data
    images = read_gate_images(open_catalogue(data), spec, parity=1, overlap=arguments.images, calibration=256)
    return MeasuredEncoder(name, encoder, spec, images.overlap, images.calibration)


def _measure(measured: MeasuredEncoder, scratch: Path, seconds: float) -> Iterator[str]:
    graph, quantised = scratch / "fp32.onnx", scratch / "int8.onnx"
    export_onnx(measured.encoder, measured.spec, graph)
    torch_embed = embedder(measured.encoder)
    ways: dict[str, Embed] = {
        "torch f32": torch_embed,
        "torch bf16": _in_bf16(torch_embed),
        "ONNX Runtime f32": OnnxEncoder(graph).embed,
    }
    for precision in ("f32", "bf16"):
        with _left_out(f"{measured.name}: OpenVINO {precision}"):
            ways[f"OpenVINO {precision}"] = OpenvinoEncoder(graph, precision=precision).embed
    with _left_out(f"{measured.name}: int8"):
        quantise(graph, quantised, measured.calibration)
        ways["OpenVINO int8"] = OpenvinoEncoder(quantised, precision="f32").embed
        ways["ONNX Runtime int8"] = OnnxEncoder(quantised).embed
    times = {batch: _times(ways, measured.spec.size, batch, seconds) for batch in _BATCHES}
    reference = None if measured.images is None else _in_batches(torch_embed, measured.images)
    for name, embed in ways.items():
        one, eight = (1e3 * np.quantile(times[batch][name], (0.5, 0.99)) for batch in _BATCHES)
        found = _faithful(measured, embed, reference)
        speed = 8e3 / eight[0]
        yield (
            f"| {measured.name} | {name} | {one[0]:.1f} | {one[1]:.1f} | {eight[0]:.1f} | {eight[1]:.1f} | {speed:.0f} "
            f"| {found} |"
        )


def _in_bf16(embed: Embed) -> Embed:
    def embed_in_bf16(pixels: np.ndarray) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            return embed(pixels)

    return embed_in_bf16


@contextmanager
def _left_out(what: str) -> Iterator[None]:
    """Goes on without what this machine, or this network, has not."""
    try:
        yield
    except LookalikeError as error:
        print(f"{what}: left out, {error}")


def _times(ways: dict[str, Embed], size: int, batch: int, seconds: float) -> dict[str, list[float]]:
    """Seconds of each call; the ways take turns, in an order that turns around, so that drift hits all alike."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    found: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for _ in range(2):
        for name in order:
            ways[name](pixels)
    end = time.perf_counter() + seconds * len(ways)
    while len(found[order[0]]) < 4 or (time.perf_counter() < end and len(found[order[0]]) < 500):
        for name in order:
            start = time.perf_counter()
            ways[name](pixels)
            found[name].append(time.perf_counter() - start)
        order.reverse()
    return found


def _faithful(measured: MeasuredEncoder, embed: Embed, true: np.ndarray | None) -> str:
    """Centred cosine and overlap of neighbours with torch's, each fifth image asking among the others."""
    if measured.images is None or true is None:
        return "- | -"
    ours = _in_batches(embed, measured.images)
    asks = np.arange(len(true)) % 5 == 0
    overlap = recall_overlap(ours[asks], ours[~asks], true[asks], true[~asks])
    return f"{centred_cosine(ours, true):.5f} | {overlap:.4f}"


def _in_batches(embed: Embed, pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([embed(pixels[start : start + 32]) for start in range(0, len(pixels), 32)])


if __name__ == "__main__":
    main()
