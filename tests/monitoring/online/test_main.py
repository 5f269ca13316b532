import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.monitoring.experiments.assignment import Experiment
from src.monitoring.online.__main__ import main
from src.monitoring.simulate import simulated_log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days, in the last four of which half of the clicks on rank 1 are lost."""
    path = tmp_path_factory.mktemp("log") / "interactions.parquet"
    log = simulated_log(Experiment("e"), users=1200, days=12, before=0, noise=0.7, parents=12, seed=5)
    rng = np.random.default_rng(0)
    late = [row["event_at"].day > 8 and row["rank"] == 1 and row["event"] != "impression" for row in log.to_pylist()]
    pq.write_table(log.filter(pa.array(~(np.array(late) & (rng.random(log.num_rows) < 0.5)))), path)
    return path


def test_the_command_prints_windows_and_the_fall(log: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "src.monitoring.online", "--interactions", log),
            *("--tolerance", "0.2", "--output", tmp_path),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum("reference" in line for line in lines) == 7
    fallen = [line for line in lines if "CTR@1 fell" in line]
    assert fallen
    assert all("2026-09-09" <= line[:10] <= "2026-09-12" for line in fallen)
    assert "replayed events: 0; too late for their window: 0" in done.stdout
    written = pq.read_table(tmp_path / "online.parquet")
    assert written.num_rows > 12 * 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tolerance", "0.001"], "take a longer one"),
        (["--hours", "0"], "must be positive"),
        (["--every", "0"], "every=0.0"),
    ],
)
def test_what_the_user_can_mend_ends_with_2(
    log: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--interactions", str(log), *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_log_shorter_than_the_reference_has_no_alert(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--interactions", str(log), "--reference", "30"])
    assert "no alert: the log has 12 windows" in capsys.readouterr().out
