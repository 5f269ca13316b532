"""An exported encoder in OpenVINO, on the CPU."""

from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from src.contracts.errors import BundleError, LookalikeError
from src.export.runtime.protocol import NORM, RuntimeAbsentError, check_pixels

__all__ = ["ARITHMETICS", "OpenvinoEncoder"]

ARITHMETICS = ("f32", "bf16")
"""Of what the graph does not quantise. `bf16` needs a CPU with AVX-512; without AVX512-BF16 or AMX it is emulated."""

_EFFECTIVE = {"float32": "f32", "bfloat16": "bf16"}
_CORE_LOCK = Lock()


def _core() -> Any:
    """The process's only `openvino.Core`, which is never closed.

    With AVX-512 a core gives the thread that opens it another stack for signals, and unmaps that stack when the core is
    closed. If the core is closed by another thread, or before a core that was opened earlier, the thread is left with
    unmapped memory, and the next signal that Python handles (SIGTERM, SIGCHLD) ends the process with SIGSEGV.
    """
    with _CORE_LOCK:
        return _opened_core()


@cache
def _opened_core() -> Any:
    import openvino

    return openvino.Core()


class OpenvinoEncoder:
    """See `EncoderRuntime`."""

    def __init__(self, path: Path, *, threads: int = 0, precision: str = "f32") -> None:
        """Compile the graph; nothing is cached on disk.

        Args:
            path: an ONNX file with one input, uint8 of shape (batch, size, size, 3); its first output is the
                embedding, another one may be `norm`.
            threads: for one call; 0 takes all cores.
            precision: one of `ARITHMETICS`. Left to itself, OpenVINO takes bf16 wherever the CPU has it.

        Raises:
            RuntimeAbsentError: OpenVINO is not installed, or the CPU lacks the precision.
            BundleError: no encoder.
        """
        if precision not in ARITHMETICS:
            raise LookalikeError(f"`precision={precision}`: must be one of {', '.join(ARITHMETICS)}")
        try:
            import openvino
        except ImportError as error:
            raise RuntimeAbsentError(f"OpenVINO cannot be imported ({error}); install `.[cpu]`") from None
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            core = _core()
            model = core.read_model(str(path))
            self.size = int(model.input(0).partial_shape[1].get_length())
            self._model = core.compile_model(model, "CPU", settings)
            self.has_norms = any(NORM in output.get_names() for output in self._model.outputs)
        except Exception as error:  # whatever its C++ side raises comes as RuntimeError, or as what the shape lacks
            raise BundleError(f"{path}: not a loadable ONNX encoder ({error})") from error
        # Where the CPU has no bf16, OpenVINO goes on in f32 and says so here only.
        effective = self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        effective = _EFFECTIVE.get(effective, effective)
        if effective != precision:
            raise RuntimeAbsentError(f"OpenVINO computes in {effective} on this CPU, which lacks {precision}")
        # A request is one call's memory; two calls must never share one.
        self._free: SimpleQueue[Any] = SimpleQueue()
        self.description = f"OpenVINO {openvino.__version__.split('-')[0]} on the CPU, {precision}"

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """See `EncoderRuntime.embed`."""
        return self.embed_with_norms(pixels)[0]

    def embed_with_norms(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `EncoderRuntime.embed_with_norms`."""
        check_pixels(pixels, self.size)
        try:
            request = self._free.get_nowait()
        except Empty:
            request = self._model.create_infer_request()
        try:
            found = request.infer([np.ascontiguousarray(pixels)], share_inputs=True)
            norms = found[NORM].copy() if self.has_norms else np.full(len(pixels), np.nan, np.float32)
            embeddings: np.ndarray = found[0].copy()
        finally:
            self._free.put(request)
        return embeddings, norms
