"""Thirty kills find nothing, and find a writer that acknowledges too early."""

import subprocess
import sys
from pathlib import Path

import pytest

FLAWED = """
import sys
from pathlib import Path
from benchmarks.serving.kills import kill_many
print(kill_many(Path(sys.argv[1]), 30, 1, flawed=True)[1])
"""


def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=repository, capture_output=True, text=True, timeout=500)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_is_there_by_half(repository: Path, tmp_path: Path) -> None:
    done = run(repository, "-m", "benchmarks.serving.kills", "--kills", "30", "--folder", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "acknowledged changes, all there whole" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_writer_that_acknowledges_before_it_writes_is_found_out(repository: Path, tmp_path: Path) -> None:
    done = run(repository, "-c", FLAWED, str(tmp_path / "state"))
    assert done.stdout.startswith("kill "), done.stderr
    assert "changes" in done.stdout
