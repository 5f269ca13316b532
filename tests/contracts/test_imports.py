"""Serving's half needs nothing of the training stack: it starts where that cannot be imported."""

import subprocess
import sys
from pathlib import Path

import pytest

BLOCKED = (
    "torch",
    "torchvision",
    "lightning",
    "pytorch_lightning",
    "timm",
    "hydra",
    "omegaconf",
    "pytorch_metric_learning",
)
SERVING = ("src.contracts.bundle", "src.contracts.settings", "src.contracts.tables", "src.index.recall")
SERVING += ("src.index.best_items", "src.export.runtime", "src.export.runtime.openvino_runtime", "serve", "serve.app")
SERVING += ("src.search", "src.search.checks", "src.search.regions")

SCRIPT = f"""
import importlib, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(f"blocked: {{name}}")

sys.meta_path.insert(0, Blocker())
importlib.import_module(sys.argv[1])
"""


def run_blocked(module: str, repository: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, module]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["src.contracts.preprocessing", *SERVING])
def test_serving_s_modules_import_without_the_training_stack(module: str, repository: Path) -> None:
    done = run_blocked(module, repository)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["hydra", "torch", "src.commandline"])
def test_the_blocker_blocks(module: str, repository: Path) -> None:
    done = run_blocked(module, repository)
    assert done.returncode == 1
    assert "ImportError: blocked: " in done.stderr
