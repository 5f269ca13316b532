"""The start over a small simulated catalogue, with the encoder of a small bundle."""

import subprocess
import sys
from pathlib import Path

from tests.search.small_bundle import Shop


def test_a_start_is_timed_and_the_bundle_is_kept(shop: Shop, tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "large"
    command = [sys.executable, "-m", "benchmarks.serving.start", "--bundle", str(shop.root), str(folder)]
    for first in (True, False):
        done = subprocess.run(
            [*command, "--items", "600", "--seconds", "0.5"],
            cwd=repository, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("index built in" in done.stdout) == first
        figures = done.stdout.splitlines()[-1].strip("| ").split(" | ")
        assert figures[0] == "600"
        assert all(float(figure) >= 0 for figure in figures[1:])
        assert float(figures[1]) > 0.1
