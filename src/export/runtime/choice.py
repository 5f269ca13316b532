"""Which runtime an encoder gets: the first of a list that can run here, and why the ones before it cannot."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from src.contracts.bundle import ENCODER, Bundle
from src.contracts.errors import LookalikeError
from src.export.runtime.onnx_runtime import OnnxEncoder
from src.export.runtime.openvino_runtime import OpenvinoEncoder
from src.export.runtime.protocol import EncoderRuntime, RuntimeAbsentError

__all__ = ["RUNTIMES", "open_encoder"]

log = logging.getLogger(__name__)

_CPUINFO = Path("/proc/cpuinfo")


def open_encoder(bundle: Bundle, *, runtime: str = "auto", precision: str = "f32", threads: int = 0) -> EncoderRuntime:
    """Load a bundle's encoder.

    `auto` takes the first of these that can run here: ONNX Runtime on CUDA; OpenVINO, on a CPU with AVX-512 (there it
    is two to five times as quick; without, the two are equal on transformers and ONNX Runtime is quicker on small
    convolutional networks); ONNX Runtime on the CPU; OpenVINO on any CPU. Each that is passed over is logged with the
    reason.

    Args:
        bundle: where the encoder is.
        runtime: `auto`, or one of `RUNTIMES`.
        precision: OpenVINO's arithmetic, `f32` or `bf16`. `bf16` means OpenVINO: `auto` takes no other then.
        threads: of one call on the CPU; 0 takes all cores.

    Raises:
        RuntimeAbsentError: nothing of what was asked for can run here.
        BundleError: the encoder does not load.
    """
    if runtime != "auto" and runtime not in RUNTIMES:
        raise LookalikeError(f"`runtime={runtime}`: must be auto or one of {', '.join(RUNTIMES)}")
    if precision != "f32" and runtime == "auto":
        runtime = "openvino"
    if precision != "f32" and runtime != "openvino":
        raise LookalikeError(f"`precision={precision}`: only OpenVINO has it; {runtime} computes what the graph says")
    if runtime != "auto":
        return RUNTIMES[runtime](bundle, threads, precision)
    reasons = []
    for name, available in _ORDER.items():
        try:
            encoder = available(bundle, threads, precision)
        except RuntimeAbsentError as error:
            reasons.append(f"{name}: {error}")
            continue
        log.info("encoder: %s (passed over: %s)", encoder.description, "; ".join(reasons) or "nothing")
        return encoder
    raise RuntimeAbsentError(f"no runtime can run the encoder here: {'; '.join(reasons)}")


Open = Callable[[Bundle, int, str], EncoderRuntime]


def _onnx_cuda(bundle: Bundle, threads: int, precision: str) -> EncoderRuntime:
    return OnnxEncoder(bundle.path(ENCODER), threads=threads, device="cuda")


def _onnx_cpu(bundle: Bundle, threads: int, precision: str) -> EncoderRuntime:
    return OnnxEncoder(bundle.path(ENCODER), threads=threads)


def _openvino(bundle: Bundle, threads: int, precision: str) -> EncoderRuntime:
    return OpenvinoEncoder(bundle.path(ENCODER), threads=threads, precision=precision)


def _openvino_on_avx512(bundle: Bundle, threads: int, precision: str) -> EncoderRuntime:
    if not _has_avx512():
        raise RuntimeAbsentError("this CPU has no AVX-512, without which it is not the quicker one")
    return _openvino(bundle, threads, precision)


def _has_avx512() -> bool:
    try:
        return "avx512f" in _CPUINFO.read_text()
    except OSError:  # not Linux
        return False


RUNTIMES: Mapping[str, Open] = {
    "onnxruntime-cuda": _onnx_cuda,
    "onnxruntime": _onnx_cpu,
    "openvino": _openvino,
}
"""Ways to run an encoder, by the names that an operator gives."""

_ORDER: Mapping[str, Open] = {
    "onnxruntime-cuda": _onnx_cuda,
    "openvino": _openvino_on_avx512,
    "onnxruntime": _onnx_cpu,
    "openvino on any CPU": _openvino,
}
