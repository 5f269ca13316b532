"""An exported encoder in ONNX Runtime, on the CPU or on a CUDA GPU."""

from pathlib import Path

import numpy as np

from src.contracts.errors import BundleError
from src.export.runtime.protocol import NORM, RuntimeAbsentError, check_pixels

__all__ = ["OnnxEncoder"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# Its default is TF32, which keeps 10 bits of a float32 product's factors: too few for the fp32 gate.
_OPTIONS = {"cpu": {}, "cuda": {"use_tf32": "0"}}
_PLACES = {"cpu": "the CPU", "cuda": "CUDA"}


class OnnxEncoder:
    """See `EncoderRuntime`."""

    def __init__(self, path: Path, *, threads: int = 0, device: str = "cpu") -> None:
        """Load the graph.

        Args:
            path: an ONNX file with one input, uint8 of shape (batch, size, size, 3); its first output is the
                embedding, another one may be `norm`.
            threads: for one call; 0 takes all cores.
            device: `cpu` or `cuda`.

        Raises:
            RuntimeAbsentError: ONNX Runtime is not installed, or not for this device.
            BundleError: no encoder.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeAbsentError(
                f"ONNX Runtime cannot be imported ({error}); install `.[cpu]` or `.[gpu]`"
            ) from None
        if device == "cuda":
            # CUDA and cuDNN that pip installed are found by nobody else in a process without torch.
            onnxruntime.preload_dlls()
        provider = _PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise RuntimeAbsentError(f"this ONNX Runtime has no {provider}; install `.[gpu]`")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Its warnings (nodes that stay on the CPU) tell an operator nothing.
        options.log_severity_level = 3
        # Spinning threads would take the cores from decoding and searching.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=[(provider, _OPTIONS[device])])
            self._input = self._session.get_inputs()[0]
            self.size = int(self._input.shape[1])
            self._outputs = [output.name for output in self._session.get_outputs()]
            self.has_norms = NORM in self._outputs
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BundleError(f"{path}: not a loadable ONNX encoder ({error})") from error
        # Where the provider cannot start, ONNX Runtime goes on on the CPU and only logs it.
        if provider not in self._session.get_providers():
            raise RuntimeAbsentError(f"ONNX Runtime's {provider} does not start here; see its log above")
        self.description = f"ONNX Runtime {onnxruntime.__version__} on {_PLACES[device]}"

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """See `EncoderRuntime.embed`."""
        check_pixels(pixels, self.size)
        output: np.ndarray = self._session.run(self._outputs[:1], {self._input.name: pixels})[0]
        return output

    def embed_with_norms(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `EncoderRuntime.embed_with_norms`."""
        if not self.has_norms:
            return self.embed(pixels), np.full(len(pixels), np.nan, np.float32)
        check_pixels(pixels, self.size)
        embeddings, norms = self._session.run([self._outputs[0], NORM], {self._input.name: pixels})
        return embeddings, norms
