"""Checkpoints on a disk that takes no more."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import resource, signal, sys
from pathlib import Path

import torch

from src.contracts.exit_codes import exit_with_message
from src.training.checkpoint_io import AtomicCheckpointIO

path = Path(sys.argv[1])
AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
# A file of this process may have 100 kB. Writing more fails as on a full disk; torch raises its own error over that.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with exit_with_message():
    AtomicCheckpointIO().save_checkpoint({"step": 2, "weights": torch.zeros(1_000_000)}, path)
"""


def test_a_full_disk_ends_with_2_and_leaves_the_checkpoint_before(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "last.ckpt"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert "ulimit -f" in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert subprocess.run(
        [sys.executable, "-c", f"import torch; print(torch.load({str(path)!r}))"],
        capture_output=True, text=True, check=True,
    ).stdout == "{'step': 1}\n"  # fmt: skip
