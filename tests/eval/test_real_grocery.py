"""Real photos through the evaluation path: the colour histogram must not do well across domains."""

import json
import subprocess
from pathlib import Path

import pytest


@pytest.mark.real_data
def test_colours_alone_do_not_find_a_phone_photo_s_product(tmp_path: Path, repository: Path, warm_python: Path) -> None:
    command = [warm_python, "evaluate.py", "baseline=color_histogram", "data=grocery", "split=val"]
    done = subprocess.run(
        [*command, f"output={tmp_path / 'out'}", "pictures=2"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["queries"], metrics["queries_without_positives"]) == (296, 0)
    # Better than one in 81, far from useful.
    assert 1 / 81 < metrics["recall@1"] < 0.2
    assert metrics["recall@1"] < metrics["recall@5"] < metrics["recall@10"]
    assert (tmp_path / "out" / "results.png").stat().st_size > 10_000
