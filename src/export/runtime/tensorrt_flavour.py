"""TensorRT and TensorRT-RTX: two packages of one API, and where they differ."""

import importlib
from dataclasses import dataclass
from typing import Any

from src.export.runtime.protocol import RuntimeAbsentError

__all__ = ["FLAVOURS", "Flavour", "load_flavour"]

_SHORT = {"tensorrt": "trt", "tensorrt_rtx": "rtx"}
_EXTRA = {"tensorrt": "gpu", "tensorrt_rtx": "rtx"}

FLAVOURS = tuple(_SHORT)
"""The packages' names."""


@dataclass(frozen=True)
class Flavour:
    """One of the two packages.

    Attributes:
        name: `tensorrt` or `tensorrt_rtx`.
        trt: the module.
    """

    name: str
    trt: Any

    @property
    def version(self) -> str:
        """Major and minor version: an engine runs in the version that built it."""
        return ".".join(self.trt.__version__.split(".")[:2])

    def engine_name(self, capability: int) -> str:
        """The file name of an engine for a GPU architecture, given as 90 for compute capability 9.0."""
        return f"encoder.sm{capability}.{_SHORT[self.name]}{self.version}.plan"

    def logger(self) -> Any:
        """A logger that keeps what goes wrong in `errors` and says nothing."""
        trt = self.trt

        class Errors(trt.ILogger):  # type: ignore[name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                    self.errors.append(message)

        return Errors()

    def start(self, kind: str, logger: Any) -> Any:
        """A `Builder` or `Runtime` that speaks to `logger`; raises `RuntimeAbsentError` where CUDA does not start."""
        try:
            return getattr(self.trt, kind)(logger)
        except TypeError as error:  # pybind11's word for a factory that gave nothing, as with too old a driver
            said = "; ".join(logger.errors) or error
            raise RuntimeAbsentError(f"{self.name} {self.version} does not start: {said}") from None

    @property
    def network_flags(self) -> int:
        """For `create_network`: networks are strongly typed, which before TensorRT 11 had to be said."""
        if self.name == "tensorrt" and int(self.version.split(".")[0]) < 11:
            return 1 << int(self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return 0


def load_flavour(name: str) -> Flavour:
    """Import one of `FLAVOURS`; raises `RuntimeAbsentError` where it is not installed."""
    try:
        return Flavour(name, importlib.import_module(name))
    except (ImportError, OSError) as error:  # OSError: a library beside it does not load
        raise RuntimeAbsentError(f"{name} cannot be imported ({error}); install `.[{_EXTRA[name]}]`") from None
