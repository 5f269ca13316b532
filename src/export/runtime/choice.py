"""Which runtime an encoder gets: the first of a list that runs here as it should, and why the ones before it do not."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from src.contracts.bundle import ENCODER, GOLDEN, Bundle
from src.contracts.errors import BundleError, LookalikeError
from src.export.runtime.bf16_trial import try_bf16
from src.export.runtime.cpu import has_avx512
from src.export.runtime.cuda import gpu_capability
from src.export.runtime.golden import read_golden
from src.export.runtime.onnx_runtime import OnnxEncoder
from src.export.runtime.openvino_runtime import ARITHMETICS, OpenvinoEncoder
from src.export.runtime.protocol import EncoderRuntime, RuntimeAbsentError
from src.export.runtime.tensorrt_flavour import load_flavour
from src.export.runtime.tensorrt_runtime import TensorrtEncoder

__all__ = ["PRECISIONS", "RUNTIMES", "check_start", "open_encoder", "open_graph"]

log = logging.getLogger(__name__)

PRECISIONS = ("auto", *ARITHMETICS)
"""What an operator may ask OpenVINO for."""

_LEAST = {"fp32": 0.999, "fp16": 0.999, "int8": 0.99}
_LEAST_BF16 = 0.99


def open_encoder(
    bundle: Bundle, *, runtime: str = "auto", precision: str = "f32", threads: int = 0, batch: int = 8
) -> EncoderRuntime:
    """Load a bundle's encoder.

    `runtime=auto` takes the first of these that can run here and that embeds the bundle's golden images as the
    exporting machine did: a TensorRT engine of the bundle, for this GPU and this TensorRT; the same of TensorRT-RTX;
    ONNX Runtime on CUDA; OpenVINO, on a CPU with AVX-512 (there it is the quicker one; without, the two are about
    equal, see docs/export.md); ONNX Runtime on the CPU; OpenVINO on any CPU. Each that is passed over is logged with
    the reason.

    Args:
        bundle: where the encoder is.
        runtime: `auto`, or one of `RUNTIMES`.
        precision: OpenVINO's arithmetic, one of `PRECISIONS`. `bf16` means OpenVINO: `runtime=auto` takes no other
            then. With `auto`, OpenVINO computes in bf16 where that passes `src.export.runtime.bf16_trial.try_bf16`,
            in f32 elsewhere; other runtimes compute what the graph says.
        threads: of one call on the CPU; 0 takes all cores.
        batch: the largest batch that will be embedded: what `precision=auto` times the arithmetics at.

    Raises:
        RuntimeAbsentError: nothing of what was asked for can run here; the message says why of each.
        BundleError: the golden images' pixels differ.
    """
    if runtime != "auto" and runtime not in RUNTIMES:
        raise LookalikeError(f"`runtime={runtime}`: must be auto or one of {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise LookalikeError(f"`precision={precision}`: must be one of {', '.join(PRECISIONS)}")
    if precision == "bf16" and runtime == "auto":
        runtime = "openvino"
    if precision == "bf16" and runtime != "openvino":
        raise LookalikeError(f"`precision={precision}`: only OpenVINO has it; {runtime} computes what the graph says")
    engines = {name: bundle.path(name) for name in bundle.content["files"] if name.endswith(".plan")}
    files = _Files(bundle.path(ENCODER), engines, threads, "f32" if precision == "auto" else precision)

    def judge(encoder: EncoderRuntime) -> EncoderRuntime:
        check_start(bundle, encoder, bf16=precision == "bf16")
        if precision != "auto" or not isinstance(encoder, OpenvinoEncoder):
            return encoder
        return try_bf16(
            encoder,
            lambda: _openvino(replace(files, precision="bf16")),
            bundle=bundle,
            check=lambda bf16: check_start(bundle, bf16, bf16=True),
            batch=batch,
        )

    return _first(files, runtime, judge)


def open_graph(path: Path) -> EncoderRuntime:
    """Load an ONNX file in the runtime that `auto` takes, engines apart; raises as `open_encoder`."""
    return _first(_Files(path), "auto", lambda encoder: encoder)


def check_start(bundle: Bundle, encoder: EncoderRuntime, *, bf16: bool = False) -> float | None:
    """Embed the golden images, and compare.

    Returns:
        The smallest centred cosine to the embeddings of the exporting machine; None for a bundle without golden images.

    Raises:
        RuntimeAbsentError: it fails, or its embeddings differ by more than the encoder's precision explains.
        BundleError: the pixels differ.
    """
    if GOLDEN not in bundle.content["files"]:
        return None
    golden = read_golden(bundle.path(GOLDEN))
    pixels = golden.pixels(bundle.preprocessing)
    if pixels.shape[1] != encoder.size:
        return None  # what reads the bundle says so, with more to go by
    least = _LEAST_BF16 if bf16 else _LEAST[bundle.content.get("precision", "fp32")]
    try:
        embeddings = encoder.embed(pixels)
    except Exception as error:  # each library raises its own, of its device most of all
        raise RuntimeAbsentError(f"{encoder.description} fails on the golden images ({error})") from error
    cosine = golden.centred_cosine(embeddings)
    if not cosine >= least:
        raise RuntimeAbsentError(
            f"{encoder.description} embeds the golden images with a centred cosine of {cosine:.5f} to the exporting "
            f"machine's, the limit is {least} (off by {least - cosine:.5f}); take another runtime, or export here"
        )
    return cosine


@dataclass(frozen=True)
class _Files:
    """What there is to load, and how."""

    graph: Path
    engines: Mapping[str, Path] = field(default_factory=dict)
    threads: int = 0
    precision: str = "f32"


Open = Callable[[_Files], EncoderRuntime]


def _first(files: _Files, runtime: str, judge: Callable[[EncoderRuntime], EncoderRuntime]) -> EncoderRuntime:
    reasons = []
    for name, load in (_ORDER if runtime == "auto" else {runtime: RUNTIMES[runtime]}).items():
        try:
            encoder = load(files)
        except (RuntimeAbsentError, BundleError) as error:  # what one cannot read, the next may
            reasons.append(f"{name}: {error}")
            continue
        try:
            encoder = judge(encoder)
        except RuntimeAbsentError as error:
            reasons.append(f"{name}: {error}")
            continue
        log.info("encoder: %s (passed over: %s)", encoder.description, "; ".join(reasons) or "nothing")
        return encoder
    raise RuntimeAbsentError(f"{files.graph} cannot run here: {'; '.join(reasons)}")


def _onnx_cuda(files: _Files) -> EncoderRuntime:
    return OnnxEncoder(files.graph, threads=files.threads, device="cuda")


def _onnx_cpu(files: _Files) -> EncoderRuntime:
    return OnnxEncoder(files.graph, threads=files.threads)


def _openvino(files: _Files) -> EncoderRuntime:
    return OpenvinoEncoder(files.graph, threads=files.threads, precision=files.precision)


def _openvino_on_avx512(files: _Files) -> EncoderRuntime:
    if not has_avx512():
        raise RuntimeAbsentError("this CPU has no AVX-512, without which it is not the quicker one")
    return _openvino(files)


def _engine(flavour_name: str, files: _Files) -> EncoderRuntime:
    if not files.engines:
        raise RuntimeAbsentError("the bundle has no engine")
    flavour = load_flavour(flavour_name)
    name = flavour.engine_name(gpu_capability())
    if name not in files.engines:
        raise RuntimeAbsentError(f"the bundle has no {name}, it has {', '.join(files.engines)}")
    return TensorrtEncoder(files.engines[name], flavour)


RUNTIMES: Mapping[str, Open] = {
    "tensorrt": partial(_engine, "tensorrt"),
    "tensorrt-rtx": partial(_engine, "tensorrt_rtx"),
    "onnxruntime-cuda": _onnx_cuda,
    "onnxruntime": _onnx_cpu,
    "openvino": _openvino,
}
"""Ways to run an encoder, by the names that an operator gives."""

_ORDER: Mapping[str, Open] = {
    "tensorrt": RUNTIMES["tensorrt"],
    "tensorrt-rtx": RUNTIMES["tensorrt-rtx"],
    "onnxruntime-cuda": _onnx_cuda,
    "openvino": _openvino_on_avx512,
    "onnxruntime": _onnx_cpu,
    "openvino on any CPU": _openvino,
}
