"""Versions of what made a bundle, for its manifest."""

import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Of Python, this repository and the packages that pixels, vectors and index depend on, by name."""
    # The CPU's and the GPU's builds are packages of different names; one of each pair is there.
    builds = ("onnxruntime", "onnxruntime-gpu", "faiss-cpu", "faiss-gpu")
    packages = ("torch", "timm", "onnx", "openvino", "numpy", "pillow", "simplejpeg", *builds)
    installed = {distribution.metadata["Name"].lower(): distribution.version for distribution in distributions()}
    found = {name: installed[name] for name in packages if name in installed}
    return {"python": platform.python_version(), "git_commit": _git_commit(), **found}


def _git_commit() -> str:
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # A fixed command: nothing of it comes from a caller.
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
