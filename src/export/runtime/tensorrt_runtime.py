"""An engine of TensorRT or TensorRT-RTX on the first GPU."""

from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from src.export.runtime.cuda import call, cudart, gpu_capability
from src.export.runtime.protocol import EMBEDDING, NORM, PIXELS, RuntimeAbsentError, check_pixels
from src.export.runtime.tensorrt_flavour import Flavour

__all__ = ["TensorrtEncoder"]


class _Lane:
    """What one call at a time needs: an execution context, a stream, and memory for the largest batch."""

    def __init__(self, engine: Any, *, batch: int, size: int, dim: int, has_norms: bool) -> None:
        self._cuda = cudart()
        self._dim = dim
        self._has_norms = has_norms
        self._context = engine.create_execution_context()
        if self._context is None:
            raise RuntimeAbsentError("the engine gives no execution context: the GPU's memory is too small")
        self._stream = call(self._cuda.cudaStreamCreate())
        self._pixels = call(self._cuda.cudaMalloc(batch * size * size * 3))
        self._vectors = call(self._cuda.cudaMalloc(batch * dim * 4))
        self._context.set_tensor_address(PIXELS, int(self._pixels))
        self._context.set_tensor_address(EMBEDDING, int(self._vectors))
        if has_norms:
            self._norms = call(self._cuda.cudaMalloc(batch * 4))
            self._context.set_tensor_address(NORM, int(self._norms))

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors = np.empty((len(pixels), self._dim), np.float32)
        norms = np.full(len(pixels), np.nan, np.float32)
        kind, stream = self._cuda.cudaMemcpyKind, self._stream
        self._context.set_input_shape(PIXELS, pixels.shape)
        copy = self._cuda.cudaMemcpyAsync
        call(copy(self._pixels, pixels.ctypes.data, pixels.nbytes, kind.cudaMemcpyHostToDevice, stream))
        if not self._context.execute_async_v3(int(stream)):
            raise RuntimeError("TensorRT: the engine did not run")
        call(copy(vectors.ctypes.data, self._vectors, vectors.nbytes, kind.cudaMemcpyDeviceToHost, stream))
        if self._has_norms:
            call(copy(norms.ctypes.data, self._norms, norms.nbytes, kind.cudaMemcpyDeviceToHost, stream))
        call(self._cuda.cudaStreamSynchronize(stream))
        return vectors, norms


class TensorrtEncoder:
    """See `EncoderRuntime`. Larger batches than the engine was built for are run in parts."""

    def __init__(self, path: Path, flavour: Flavour) -> None:
        """Deserialise an engine.

        Args:
            path: what `build_engine` made.
            flavour: the package that made it, in the same version.

        Raises:
            RuntimeAbsentError: no GPU, or the engine is of another version or architecture, or damaged.
        """
        capability = gpu_capability()
        # The engine lives only as long as the runtime that made it.
        self._log = flavour.logger()
        self._runtime = flavour.start("Runtime", self._log)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise RuntimeAbsentError(
                f"{path.name} does not deserialise in {flavour.name} {flavour.version} on compute capability "
                f"{capability / 10}: {'; '.join(self._log.errors)}"
            )
        _, _, most = self._engine.get_tensor_profile_shape(PIXELS, 0)
        self._batch, self.size = int(most[0]), int(most[1])
        self._dim = int(self._engine.get_tensor_shape(EMBEDDING)[1])
        names = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
        self.has_norms = NORM in names
        self._free: SimpleQueue[_Lane] = SimpleQueue()
        # Contexts run side by side, but TensorRT does not promise that they can be made so.
        self._making = Lock()
        self._free.put(self._lane())
        self.description = f"{flavour.name} {flavour.version} on CUDA sm{capability}, {path.name}"

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """See `EncoderRuntime.embed`."""
        return self.embed_with_norms(pixels)[0]

    def embed_with_norms(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `EncoderRuntime.embed_with_norms`."""
        check_pixels(pixels, self.size)
        pixels = np.ascontiguousarray(pixels)
        try:
            lane = self._free.get_nowait()
        except Empty:
            lane = self._lane()
        try:
            parts = [lane.run(pixels[start : start + self._batch]) for start in range(0, len(pixels), self._batch)]
        finally:
            self._free.put(lane)
        if not parts:
            return np.empty((0, self._dim), np.float32), np.empty(0, np.float32)
        return np.concatenate([vectors for vectors, _ in parts]), np.concatenate([norms for _, norms in parts])

    def _lane(self) -> _Lane:
        with self._making:
            return _Lane(self._engine, batch=self._batch, size=self.size, dim=self._dim, has_norms=self.has_norms)
