"""A model repository for NVIDIA's Triton Inference Server, of a bundle's encoder."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from src.contracts.bundle import ENCODER, Bundle
from src.contracts.errors import ConfigError
from src.export.runtime.protocol import NORM

__all__ = ["check_triton", "write_triton"]

_CONFIG = """\
name: "{name}"
backend: "{backend}"
max_batch_size: {batch}
default_model_filename: "{file}"
input [
  {{
    name: "pixels"
    data_type: TYPE_UINT8
    dims: [ {size}, {size}, 3 ]
  }}
]
output [
{outputs}
]
dynamic_batching {{
  max_queue_delay_microseconds: {delay}
}}
instance_group [
  {{
    count: 1
    kind: {kind}
  }}
]
"""

_EMBEDDING = """\
  {{
    name: "embedding"
    data_type: TYPE_FP32
    dims: [ {dim} ]
  }}"""
_NORM = """\
  {
    name: "norm"
    data_type: TYPE_FP32
    dims: [ 1 ]
    reshape: { shape: [ ] }
  }"""


def check_triton(folder: Path) -> None:
    """Raise `ConfigError` unless a repository can be written there: before an export, which takes minutes."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"`triton={folder}`: exists and is not empty; name a new folder")


def write_triton(bundle: Bundle, folder: Path, *, batch: int, delay_us: int = 2000) -> list[str]:
    """Write `folder`/NAME/config.pbtxt and `folder`/NAME/1/FILE for the graph and each TensorRT engine, or nothing.

    The graph becomes the model `encoder`, for the onnxruntime backend; an engine becomes `encoder_sm90`, for the
    tensorrt backend. Engines of TensorRT-RTX are left out: Triton has no backend for them.

    Args:
        bundle: whose encoder to serve.
        folder: a new or empty folder.
        batch: largest batch that Triton may put together; of an engine, the largest that it was built for.
        delay_us: how long a request may wait for others, in microseconds.

    Returns:
        The models' names.

    Raises:
        ConfigError: the folder holds something.
    """
    check_triton(folder)
    files = {"encoder": (ENCODER, "onnxruntime", "KIND_AUTO")}
    for file in bundle.content["files"]:
        if file.endswith(".plan") and ".trt" in file:
            files[f"encoder_{file.split('.')[1]}"] = (file, "tensorrt", "KIND_GPU")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        _write_models(staging, bundle, files, batch=batch, delay_us=delay_us)
        staging.chmod(0o755)
        os.rename(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return list(files)


def _write_models(
    root: Path, bundle: Bundle, files: Mapping[str, tuple[str, str, str]], *, batch: int, delay_us: int
) -> None:
    outputs = [_EMBEDDING.format(dim=bundle.content["dim"])]
    if NORM in bundle.content.get("outputs", ()):  # Bundles of before 2026-12 name no outputs, and have no norms.
        outputs.append(_NORM)
    for name, (file, backend, kind) in files.items():
        (root / name / "1").mkdir(parents=True)
        shutil.copyfile(bundle.path(file), root / name / "1" / file)
        config = _CONFIG.format(
            name=name,
            backend=backend,
            batch=batch,
            file=file,
            size=bundle.preprocessing.size,
            outputs=",\n".join(outputs),
            delay=delay_us,
            kind=kind,
        )
        (root / name / "config.pbtxt").write_text(config)
