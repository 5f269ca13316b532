"""The few CUDA calls that running an engine takes, through NVIDIA's bindings."""

from typing import Any

from src.export.runtime.protocol import RuntimeAbsentError

__all__ = ["call", "cudart", "gpu_capability"]


def cudart() -> Any:
    """NVIDIA's bindings of the CUDA runtime."""
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise RuntimeAbsentError(f"cuda.bindings cannot be imported ({error}); install `.[gpu]` or `.[rtx]`") from None
    return runtime


def call(result: tuple[Any, ...]) -> Any:
    """What a CUDA call returned besides its error code: nothing, or one value.

    Raises:
        RuntimeAbsentError: the call failed; the message names CUDA's error.
    """
    code, *values = result
    if int(code) != 0:
        raise RuntimeAbsentError(f"CUDA: {code.name}")
    return values[0] if values else None


def gpu_capability() -> int:
    """The compute capability of the first GPU, 90 for 9.0; raises `RuntimeAbsentError` where there is none."""
    cuda = cudart()
    if call(cuda.cudaGetDeviceCount()) < 1:
        raise RuntimeAbsentError("CUDA finds no GPU")
    attribute = cuda.cudaDeviceAttr
    major = call(cuda.cudaDeviceGetAttribute(attribute.cudaDevAttrComputeCapabilityMajor, 0))
    minor = call(cuda.cudaDeviceGetAttribute(attribute.cudaDevAttrComputeCapabilityMinor, 0))
    return int(10 * major + minor)
