"""The code that runs where a GPU is, on the CPU; and what it does where there is none."""

import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import run_section, table
from benchmarks.gpu_sections import SECTIONS, Figure

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")


@without_gpu
def test_without_a_gpu_it_says_so_and_ends_with_2(repository: Path, warm_python: Path) -> None:
    command = [warm_python, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no GPU")
    assert done.stdout == ""


@without_gpu
@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "engines"])
def test_each_section_runs(name: str) -> None:
    figures = SECTIONS[name].run("cpu")
    assert figures
    for figure in figures:
        assert figure.value > 0
    assert name in table("here", {name: figures}, 1.0)


def test_all_sections_fit_into_eight_minutes() -> None:
    assert sum(section.seconds for section in SECTIONS.values()) <= gpu._TOTAL_SECONDS <= 480


def stand_in(path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(gpu.sys, "executable", str(path))


def test_a_section_that_fails_or_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "fails", monkeypatch, "echo Traceback >&2; echo 'CudaError: no memory' >&2; exit 3")
    assert run_section("machine", 60, rehearse=False) == "ended with 3: CudaError: no memory"
    stand_in(tmp_path / "dies", monkeypatch, "kill -9 $$")
    assert run_section("machine", 60, rehearse=False) == "ended with -9: it said nothing"
    stand_in(tmp_path / "hangs", monkeypatch, "exec sleep 600")
    assert run_section("machine", 5.0, rehearse=False) == "took longer than 5 s and was ended"
    assert run_section("machine", 1.0, rehearse=False) == "no time was left for it"


def test_a_section_s_process_hands_its_figures_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu.sys, "argv", ["gpu", "--inside", "machine", "--rehearse"])
    gpu.main()
    (tmp_path / "said").write_text("a warning\n" + capsys.readouterr().out)
    stand_in(tmp_path / "says", monkeypatch, f"cat {tmp_path / 'said'}")
    figures = run_section("machine", 60, rehearse=True)
    assert [figure.what for figure in figures] == ["matrix product, bf16", "memory read"]


def test_failures_stand_beside_figures() -> None:
    text = table("here", {"a": "it | broke", "b": [Figure("x", 3.0, "ms", "note")]}, 1.0)
    assert "| a | **failed** | | it / broke |" in text
    assert "| b | x | 3 ms | note |" in text
