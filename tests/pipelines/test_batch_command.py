"""`python -m src.pipelines.batch` as a process: help, errors of the user, a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from src.contracts.bundle import open_bundle
from tests.pipelines.small_run import write_encoder_bundle

ROOT = Path(__file__).resolve().parents[2]


def batch(*words: str, python: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "src.pipelines.batch", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder_bundle(tmp_path_factory.mktemp("encoder") / "bundle")


def test_what_the_user_can_mend_is_one_message(tmp_path: Path) -> None:
    ended = batch(
        "bundle=nowhere", f"output={tmp_path}", "engine.batch=0", "engine.name=ray", "max_quarantined=2", "attempts=0"
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    for problem in (
        "`attempts=0`: must be at least 1",
        "`engine.batch=0`: must be at least 1",
        "`engine.name=ray`: must be one of in_process, pool, spark",
        "`max_quarantined=2.0`: must lie in 0..1",
    ):
        assert problem in ended.stderr


def test_a_run_builds_a_bundle_from_the_command_line(
    tmp_path: Path, bundle: Path, folder_catalogue, warm_python: Path
) -> None:
    root = folder_catalogue(tmp_path / "items", items=6, images=2, side=64)
    out, published = tmp_path / "out", tmp_path / "published"
    words = [f"bundle={bundle}", "data=folder", f"data.root={root}", f"output={out}", f"publish={published}"]
    ended = batch(*words, "runtime=onnxruntime", "index.min_recall=0.5", python=warm_python)
    assert ended.returncode == 0, ended.stderr
    assert "embeddings: 12 new, 12 images searchable" in ended.stdout
    assert json.loads((out / "runs/000001/summary.json").read_text())["counts"] == {"out": 12}
    assert open_bundle(published).content["index"]["vectors"] == 12
    ended = batch(*words, "runtime=onnxruntime", "quality.min_side=300", python=warm_python)
    assert ended.returncode == 2
    assert "12 of 12 rows (100.0%) are in quarantine (too_small 12)" in ended.stderr
