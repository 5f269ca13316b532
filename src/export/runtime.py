"""Encoders as serving runs them: uint8 pixels in, normalised embeddings out. No torch here."""

from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from src.contracts.errors import BundleError, LookalikeError

__all__ = ["EncoderRuntime", "OnnxEncoder"]


class EncoderRuntime(Protocol):
    """A loaded encoder."""

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """Embed a batch.

        Args:
            pixels: uint8 array of shape (images, size, size, 3), as `src.contracts.preprocessing` makes it.

        Returns:
            float32 array of shape (images, dim), L2-normalised.
        """
        ...


class OnnxEncoder:
    """An exported encoder in ONNX Runtime on the CPU. Safe to call from many threads."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        """Load the graph.

        Args:
            path: an ONNX file with one input, uint8 of shape (batch, size, size, 3), and one output.
            threads: for one call; 0 takes all cores.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Spinning threads would take the cores from decoding and searching.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0]
            self.size = int(self._input.shape[1])
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BundleError(f"{path}: not a loadable ONNX encoder ({error})") from error

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """See `EncoderRuntime.embed`."""
        expected = (self.size, self.size, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected:
            raise LookalikeError(
                f"pixels are {pixels.dtype} of shape {pixels.shape}; the encoder takes uint8 of (images, *{expected})"
            )
        output: np.ndarray = self._session.run(None, {self._input.name: pixels})[0]
        return output
