"""The store's command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.pipelines.embeddings_table import Lineage, append_embeddings
from src.pipelines.store import main
from tests.pipelines.conftest import make_embeddings

FROM = Lineage(run_id="nightly", bundle_id="b7", source="images.parquet", source_version="3")


@pytest.fixture
def table(tmp_path: Path) -> str:
    for seed in range(3):
        append_embeddings(tmp_path / "t", make_embeddings(["a/1"], seed=seed), batch_id=f"n/{seed}", lineage=FROM)
    return str(tmp_path / "t")


def test_what_each_command_says(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        main(arguments)
        return capsys.readouterr().out

    runs = said("runs", table).splitlines()
    assert len(runs) == 3
    assert "1 rows, batch n/2, run nightly, bundle b7, from images.parquet@3" in runs[0]
    assert said("compact", table) == "3 files rewritten as 1\n"
    assert said("prune", table, "--since", "2026-01-01") == "0 superseded rows removed\n"
    assert said("vacuum", table) == "0 unused files deleted\n"
    online = str(tmp_path / "online.sqlite")
    assert said("online", table, "--encoder", "e1", "--output", online) == f"1 images in {online}\n"


def test_errors_are_one_message(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "src.pipelines.store", "prune", str(tmp_path / "none"), "--since", "soon"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert "no embeddings table there" in ended.stderr
