"""ONNX to an engine of TensorRT or TensorRT-RTX."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from src.contracts.atomic_file import write_atomically
from src.contracts.errors import LookalikeError
from src.export.runtime.cuda import gpu_capability
from src.export.runtime.tensorrt_flavour import Flavour, load_flavour
from src.export.runtime.tensorrt_runtime import TensorrtEncoder

__all__ = ["Engine", "build_engine", "load_engine"]

_TYPES = ("FLOAT", "HALF", "BF16", "INT8")


@dataclass(frozen=True)
class Engine:
    """A built engine.

    Attributes:
        file: its name, with GPU architecture and TensorRT version.
        bytes: its size.
        layers: layers of the network by the type that they compute in, those of shapes left out.
    """

    file: str
    bytes: int
    layers: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def build_engine(graph: Path, folder: Path, target: str, *, batch: int, cache: Path | None = None) -> Engine:
    """Build an engine for batches of 1 to `batch` and write it.

    The network is strongly typed: what it computes in is what the graph says, but for products in float32, which
    TensorRT does in TF32 where the GPU has it.

    Args:
        graph: an ONNX file that `export_onnx` wrote.
        folder: where to write the engine.
        target: `tensorrt`, for this machine's GPU; or `rtx-smNN`, TensorRT-RTX for a GPU that need not be here.
        batch: largest batch.
        cache: TensorRT's timing cache; read where it is there and of this GPU and version, and written. With it,
            building again is quick and chooses the same.

    Raises:
        RuntimeAbsentError: the package or the GPU is not there.
        LookalikeError: the graph does not build; the message holds the parser's or the builder's words.
    """
    flavour = _flavour(target)
    trt = flavour.trt
    capability = gpu_capability() if target == "tensorrt" else int(target.removeprefix("rtx-sm"))
    logger = flavour.logger()
    builder = flavour.start("Builder", logger)
    network = builder.create_network(flavour.network_flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph.read_bytes()):
        raise LookalikeError(f"{graph.name}: {flavour.name} does not take the graph: {'; '.join(logger.errors)}")
    config = builder.create_builder_config()
    if target != "tensorrt":
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), 0)
    config.add_optimization_profile(_profile(builder, network, batch))
    if cache is not None:
        stored = cache.read_bytes() if cache.is_file() else b""
        for data in (stored, b""):  # one of another GPU or another version is not taken
            timings = config.create_timing_cache(data)
            if timings is not None and config.set_timing_cache(timings, ignore_mismatch=False):
                break
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise LookalikeError(f"{graph.name}: {flavour.name} builds no engine for {target}: {'; '.join(logger.errors)}")
    if cache is not None:
        write_atomically(cache, bytes(config.get_timing_cache().serialize()))
    name = flavour.engine_name(capability)
    (folder / name).write_bytes(bytes(plan))
    return Engine(name, plan.nbytes, _layers(network))


def load_engine(path: Path, target: str) -> TensorrtEncoder:
    """Load what `build_engine` wrote for a target; raises `RuntimeAbsentError` where it cannot run here."""
    return TensorrtEncoder(path, _flavour(target))


def _flavour(target: str) -> Flavour:
    return load_flavour("tensorrt" if target == "tensorrt" else "tensorrt_rtx")


def _profile(builder: Any, network: Any, batch: int) -> Any:
    pixels = network.get_input(0)
    image = tuple(pixels.shape)[1:]
    profile = builder.create_optimization_profile()
    # Tuned for one image, which is what a search embeds; `batch` is for filling an index.
    profile.set_shape(pixels.name, (1, *image), (1, *image), (batch, *image))
    return profile


def _layers(network: Any) -> dict[str, int]:
    types = [network.get_layer(number).get_output(0).dtype.name for number in range(network.num_layers)]
    return dict(sorted(Counter(name for name in types if name in _TYPES).items()))
