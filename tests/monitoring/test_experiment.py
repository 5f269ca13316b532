import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from src.contracts.tables import validate_interactions
from src.monitoring import experiment, simulate
from src.monitoring.experiments.exposure_log import read_exposures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "src.monitoring.simulate", "--output", folder),
            *("--users", "700", "--days", "6", "--noise", "0.1"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_the_simulated_log_keeps_the_contract(folder: Path) -> None:
    log = pq.read_table(folder / "interactions.parquet")
    assert validate_interactions(log).equals(log)
    shown = {(r["user_id"], r["variant"]) for r in log.to_pylist() if r["variant"] is not None}
    assert len(shown) == len({user for user, _ in shown}) > 300
    exposures = read_exposures(folder / "exposures").to_pylist()
    assert {(r["user_id"], r["variant"]) for r in exposures} == shown


def test_simulating_into_the_same_folder_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        simulate.main(["--output", str(folder)])
    assert ended.value.code == 2
    assert "only appended" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        simulate.main(["--output", str(folder), "--users", "0", "--days", "0"])
    assert "--users 0: must be at least 1; --days 0" in capsys.readouterr().err


def test_the_command_decides_and_writes_a_page_that_needs_nothing_else(folder: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "src.monitoring.experiment", "--interactions", folder / "interactions.parquet"),
            *("--exposures", folder / "exposures", "--metric", "ctr@1", "--guardrails", "ctr", "--days", "6"),
            *("--margin", "0.9", "--output", folder / "report"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("treated: ship: ctr@1 is better")
    page = (folder / "report" / "experiment.html").read_text()
    assert "treated: ship: ctr@1 is better" in page
    assert "polyline" in page
    assert not re.search(r"https?://|<script|src=|nan\b", page)


def test_names_of_variants_are_escaped(folder: Path, tmp_path: Path) -> None:
    log = pq.read_table(folder / "interactions.parquet")
    names = ["<b>&" if name == "treated" else name for name in log["variant"].to_pylist()]
    pq.write_table(log.set_column(log.column_names.index("variant"), "variant", [names]), tmp_path / "log.parquet")
    experiment.main(["--interactions", str(tmp_path / "log.parquet"), "--output", str(tmp_path)])
    page = (tmp_path / "experiment.html").read_text()
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page


def test_a_plan_from_the_log_and_from_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment.main(["--plan", "--interactions", str(folder / "interactions.parquet"), "--lift", "0.5", "--days", "9"])
    found = re.search(r"\+50.0%: plan (\d+) days", capsys.readouterr().out)
    assert found
    assert 1 <= int(found[1]) <= 9
    experiment.main(
        ["--plan", "--baseline", "0.5", "--users-per-day", "100", "--lift", "0.1", "--days", "40", "--power", "0.9"]
    )
    out = capsys.readouterr().out
    # One test at the end: 2 x 0.25 x (1.96 + 1.2816)^2 / 0.05^2 users of each variant are 42 days.
    assert "is not found within 40 days" in out
    assert re.search(r"^  40 .* 10\.\d%", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output", "x"], "needs --interactions FILE"),
        (["--plan"], "--plan needs --interactions FILE, or --baseline"),
        (["--plan", "--baseline", "1.5", "--users-per-day", "3"], "between 0 and 1"),
        (["--plan", "--baseline", "0.5", "--users-per-day", "3", "--lift", "0"], "lift 0.0: must be not 0"),
        (["--alpha", "2"], "--alpha 2.0"),
        (["--days", "0"], "--days 0"),
        (["--cap", "-1"], "--cap -1.0"),
        (["--margin", "1"], "--margin 1.0"),
        (["--interactions", "LOG", "--output", "x", "--guardrails", "ctr"], "is the primary metric"),
        (["--interactions", "LOG", "--output", "x", "--control", "B"], "--control B: none of control, treated"),
        (
            ["--interactions", "LOG", "--output", "x", "--exposures", "EXPOSURES", "--experiment", "B"],
            "none of ranker-2",
        ),
        (["--interactions", "LOG", "--output", "x", "--exposures", "nowhere"], "holds no exposures"),
        (["--interactions", "nowhere.parquet", "--output", "x"], "nowhere.parquet"),
    ],
)
def test_what_the_user_can_mend_ends_with_2_and_one_message(
    folder: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"LOG": str(folder / "interactions.parquet"), "EXPOSURES": str(folder / "exposures")}
    with pytest.raises(SystemExit) as ended:
        experiment.main([names.get(word, word) for word in arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
