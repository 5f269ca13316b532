"""Latency and faithfulness of the CPU's runtimes: python -m benchmarks.encoders NAME=CKPT ... --data DIR.

All embed pictures of the grocery set in DIR, photos and catalogue images alike; without `--data` only times are
measured. Networks without a checkpoint have new weights: as quick as trained ones. What they find means nothing, but
whether a runtime finds the same as torch does is measured all the same.

With `--data`, each network is also opened as a service opens it, with `precision=auto`: what that takes, why, and how
long it tries.

The times are those of the quickest call: on the clock, and of all cores together, which other work on the machine
lengthens least. With `--threads 1` the latter is what a call takes on a core of its own.

torch's bf16 is autocast. A CPU without bf16 instructions emulates it: its embeddings are those of bf16, its times are
not.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.catalog.catalogue import Catalogue, open_catalogue
from src.commandline import composed
from src.contracts.bundle import ENCODER, GOLDEN, NEIGHBOURS, open_bundle, staged_bundle
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.exit_codes import exit_with_message
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import GateSettings, TrainSettings
from src.datamodules.pixels import iterate_pixels
from src.export.neighbour_sample import sample_neighbours
from src.export.onnx_export import export_onnx
from src.export.overlap import recall_overlap
from src.export.quantise import quantise
from src.export.runtime import OnnxEncoder, OpenvinoEncoder, open_encoder
from src.export.runtime.cosines import centred_cosine
from src.export.runtime.golden import write_golden
from src.export.runtime.neighbours import write_neighbours
from src.models.checkpoint import load_encoder
from src.models.encoder import Encoder, build_encoder
from src.models.inference import embedder

Embed = Callable[[np.ndarray], np.ndarray]

_BATCHES = (1, 8)
_NEW = {"ViT-S/16": "vit_small_patch16_224", "ViT-B/16": "vit_base_patch16_224"}


@dataclass(frozen=True)
class MeasuredEncoder:
    """A network, and images of a catalogue where there is one: `rows` of it, and their pixels."""

    name: str
    encoder: Encoder
    spec: PreprocessingSpec
    catalogue: Catalogue | None
    rows: np.ndarray
    images: np.ndarray | None
    calibration: np.ndarray


def main() -> None:
    """Print what `precision=auto` takes of each network, and one Markdown table, last."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description=__doc__)
    parser.add_argument("trained", nargs="*", metavar="NAME=CKPT", help="checkpoints, and what to call them")
    parser.add_argument("--data", type=Path, help="the grocery catalogue: what all of them embed")
    parser.add_argument("--seconds", type=float, default=8, help="at most, for one runtime at one batch size")
    parser.add_argument("--images", type=int, default=1000, help="pictures for the overlap of neighbours")
    parser.add_argument("--threads", type=int, default=0, help="of a call; 0 takes all cores")
    parser.add_argument("--new", nargs="*", choices=_NEW, default=list(_NEW), help="networks with new weights")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("src.export.runtime").setLevel(logging.INFO)
    with exit_with_message(), tempfile.TemporaryDirectory() as scratch:
        rows = [
            row for measured in _measured_encoders(arguments) for row in _measure(measured, Path(scratch), arguments)
        ]
        print("\n| encoder | runtime | 1: ms | core ms | 8: ms | core ms | centred cosine | overlap |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
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
    rng = np.random.default_rng(0)
    if not arguments.data:
        noise = rng.integers(0, 256, (8, spec.size, spec.size, 3), dtype=np.uint8)
        return MeasuredEncoder(name, encoder, spec, None, np.empty(0, np.int64), None, noise)
    catalogue = open_catalogue(composed(TrainSettings, "train", "data=grocery", f"data.root={arguments.data}").data)
    order = rng.permutation(len(catalogue.items))
    rows, others = order[: arguments.images], order[arguments.images :][:256]
    images, calibration = (np.concatenate(list(iterate_pixels(catalogue, part, spec, batch=128)))
                           for part in (rows, others))  # fmt: skip
    return MeasuredEncoder(name, encoder, spec, catalogue, rows, images, calibration)


def _measure(measured: MeasuredEncoder, scratch: Path, arguments: argparse.Namespace) -> Iterator[str]:
    threads = arguments.threads
    graph, quantised = scratch / "fp32.onnx", scratch / "int8.onnx"
    export_onnx(measured.encoder, measured.spec, graph)
    torch_embed, exact = embedder(measured.encoder), OnnxEncoder(graph, threads=threads)
    ways: dict[str, Embed] = {
        "torch f32": torch_embed,
        "torch bf16": _in_bf16(torch_embed),
        "ONNX Runtime f32": exact.embed,
    }
    for precision in ("f32", "bf16"):
        with _left_out(f"{measured.name}: OpenVINO {precision}"):
            ways[f"OpenVINO {precision}"] = OpenvinoEncoder(graph, threads=threads, precision=precision).embed
    with _left_out(f"{measured.name}: int8"):
        quantise(graph, quantised, measured.calibration)
        ways["OpenVINO int8"] = OpenvinoEncoder(quantised, threads=threads).embed
        ways["ONNX Runtime int8"] = OnnxEncoder(quantised, threads=threads).embed
    times = {batch: _times(ways, measured.spec.size, batch, arguments.seconds) for batch in _BATCHES}
    reference = None
    if measured.images is not None:
        reference = _in_batches(torch_embed, measured.images)
        _open(measured, graph, exact, reference, scratch / "bundle", threads)
        if "OpenVINO bf16" in ways:
            print(f"{measured.name}: {_draws(_in_batches(ways['OpenVINO bf16'], measured.images), reference)}")
    for name, embed in ways.items():
        best = (1e3 * np.min(times[batch][name], axis=0) for batch in _BATCHES)
        cells = " | ".join(f"{clock:.1f} | {cores:.1f}" for clock, cores in best)
        found = _faithful(measured, embed, reference)
        yield f"| {measured.name} | {name} | {cells} | {found} |"


def _open(
    measured: MeasuredEncoder, graph: Path, exact: OnnxEncoder, vectors: np.ndarray, root: Path, threads: int
) -> None:
    """Print what `precision=auto` takes, and what opening costs, with it and without."""
    assert measured.catalogue is not None
    with staged_bundle(root) as draft:
        (draft.root / ENCODER).write_bytes(graph.read_bytes())
        write_golden(draft.root / GOLDEN, measured.spec, exact.embed_with_norms)
        neighbours = sample_neighbours(measured.catalogue, measured.rows, measured.spec, vectors, reference=None)
        if neighbours is not None:
            write_neighbours(draft.root / NEIGHBOURS, neighbours)
        draft.content |= {
            "preprocessing": measured.spec.to_dict(),
            "precision": "fp32",
            "gates": {"min_overlap": GateSettings().min_overlap},
        }
    bundle = open_bundle(root)
    for precision in ("f32", "auto"):
        print(f"{measured.name}: opened with runtime=openvino precision={precision}", flush=True)
        start, used = time.perf_counter(), time.process_time()
        open_encoder(bundle, runtime="openvino", precision=precision, threads=threads, batch=max(_BATCHES))
        used = time.process_time() - used
        size = (root / NEIGHBOURS).stat().st_size
        print(f"{time.perf_counter() - start:.1f} s, {used:.1f} s of them on a core; {NEIGHBOURS} has {size:,} bytes")


def _draws(queries: np.ndarray, true: np.ndarray) -> str:
    """How the gate on neighbours would judge bf16, had other images of the gallery been drawn to ask."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        asks = np.isin(np.arange(len(true)), rng.choice(len(true), 24, replace=False))
        shares.append(recall_overlap(queries[asks], true[~asks], true[asks], true[~asks]))
    passes = np.mean(np.array(shares) >= GateSettings().min_overlap)
    return f"24 images find {np.mean(shares):.4f} ± {np.std(shares):.4f} of their neighbours, and pass in {passes:.1%}"


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


def _times(ways: dict[str, Embed], size: int, batch: int, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each call, on the clock and of all cores together.

    The ways take turns, in an order that turns around, so that drift hits all alike.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    order = list(ways)
    for _ in range(2):
        for name in order:
            ways[name](pixels)
    end = time.perf_counter() + seconds * len(ways)
    while len(found[order[0]]) < 4 or (time.perf_counter() < end and len(found[order[0]]) < 500):
        for name in order:
            start, used = time.perf_counter(), time.process_time()
            ways[name](pixels)
            found[name].append((time.perf_counter() - start, time.process_time() - used))
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
