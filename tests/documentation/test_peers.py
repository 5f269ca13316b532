"""Lookalike's lines in the table of docs/peers.md compose; its sweeps stand in docs/training.md, where they are run."""

import re
import shlex
from pathlib import Path

import pytest

from src.commandline import composed
from src.contracts.settings import TrainSettings

TABLE = (Path(__file__).resolve().parents[2] / "docs" / "peers.md").read_text()
CELLS = [line.split(" | ")[1] for line in TABLE.splitlines() if line.startswith("| ")][2:]
LINES = [
    line for cell in CELLS for line in re.findall(r"`([^`]+)`", cell) if all("=" in word for word in shlex.split(line))
]


def test_lines_are_found() -> None:
    assert len(CELLS) == 23
    assert len(LINES) > 30


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith(("confidence=", "sweep="))])
def test_the_line_composes(line: str, tmp_path: Path) -> None:
    composed(TrainSettings, "train", "experiment=demo", *shlex.split(line), f"hydra.runtime.output_dir={tmp_path}")
