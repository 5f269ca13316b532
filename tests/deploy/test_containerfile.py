"""What the image holds is enough to serve, and nothing in it is unpinned."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.deploy.files import DEPLOY, ROOT, SETTINGS
from tests.search.small_bundle import Shop
from tests.serve.running import running

LINES = re.sub(r"\\\n\s*", "", (DEPLOY / "Containerfile").read_text()).splitlines()
ENVIRONMENT = dict(
    pair.split("=", 1) for line in LINES if line.startswith("ENV ") for pair in shlex.split(line)[1:]
)  # fmt: skip


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The files of the last stage."""
    last = max(row for row, line in enumerate(LINES) if line.startswith("FROM "))
    copied = [line.split()[1:] for line in LINES[last:] if line.startswith("COPY ") and "--from" not in line]
    assert copied
    for source, destination in copied:
        target = tmp_path / destination
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)
    return tmp_path


def test_the_service_runs_from_the_files_of_the_image(image: Path, shop: Shop) -> None:
    with running(["--bundle", str(shop.root)], root=image) as service:
        answer = httpx.post(service.url + "/v1/search", files={"image": shop.pictures[0]})
        assert answer.status_code == 200
        loaded = subprocess.run(
            [sys.executable, "-c", "import serve.app; print(serve.app.__file__)"],
            cwd=image, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert loaded.stdout.startswith(str(image))
        assert service.stop()[0] == 0


def test_nobody_is_root_and_the_environment_is_known() -> None:
    assert "USER 10001:10001" in LINES
    ours = {name for name in ENVIRONMENT if name.startswith("LOOKALIKE_")}
    assert ours == {"LOOKALIKE_HOST", "LOOKALIKE_PORT", "LOOKALIKE_BUNDLE"}
    assert ours <= SETTINGS
    port = ENVIRONMENT["LOOKALIKE_PORT"]
    assert f"EXPOSE {port}" in LINES
    assert any(f"127.0.0.1:{port}/readyz" in line for line in LINES)
    for line in LINES:
        if line.startswith("FROM "):
            assert re.fullmatch(r"FROM docker\.io/library/python:3\.11-slim-\w+( AS packages)?", line)


def test_what_the_image_takes_is_not_ignored() -> None:
    kept = [line[1:] for line in (DEPLOY / "Containerfile.containerignore").read_text().splitlines() if line[0] == "!"]
    sources = [line.split()[1] for line in LINES if line.startswith("COPY ") and "--from" not in line]
    for source in sources:
        assert (ROOT / source).exists()
        assert any(source == name or source.startswith(f"{name}/") for name in kept), source


def test_the_serving_lock_is_a_part_of_the_whole_one_with_hashes() -> None:
    serving, whole = (_pins(path) for path in (DEPLOY / "requirements-serve.lock", ROOT / "requirements.lock"))
    assert serving.keys() <= whole.keys()
    assert {name: whole[name] for name in serving} == serving
    assert all("--hash=sha256:" in pin for pin in serving.values())
    names = {name.split("==")[0] for name in serving}
    assert {"faiss-cpu", "fastapi", "granian", "onnxruntime", "openvino", "opentelemetry-sdk"} <= names
    assert not names & {"torch", "torchvision", "lightning", "timm", "hydra-core", "pytest", "uvicorn"}


def _pins(path: Path) -> dict[str, str]:
    """Hashes by name and version; markers may be narrower in the whole."""
    text = re.sub(r"\\\n\s*", " ", path.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.split()[0]: " ".join(sorted(re.findall(r"--hash=\S+", line))) for line in lines}
