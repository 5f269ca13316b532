"""The benchmark of live changes runs and says what it measured."""

import sys
from pathlib import Path

import pytest

from benchmarks import live_changes


def test_it_prints_a_line_for_each_number_of_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--rows 3000 --dim 16 --layout exact --queries 20 --changed 0 30"
    monkeypatch.setattr(sys, "argv", ["live_changes", *options.split(), "--folder", str(tmp_path)])
    live_changes.main()
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [line[0].strip() for line in lines] == [
        "changed items", "---:", "0", "30", "items in the journal", "---:", "0", "30",
    ]  # fmt: skip
    assert all(" / " in cell for line in (lines[2], lines[3]) for cell in line[1:])
    assert not list(tmp_path.iterdir())
