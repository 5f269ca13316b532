"""The serving image has no torch: the service must start and search without it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.small_bundle import Shop
from tests.serve.running import ROOT, running

ABSENT = (
    "torch",
    "torchvision",
    "lightning",
    "pytorch_lightning",
    "timm",
    "hydra",
    "omegaconf",
    "pytorch_metric_learning",
)

BLOCKER = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Python starts with these modules blocked."""
    folder: Path = tmp_path_factory.mktemp("blocker")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return {"PYTHONPATH": str(folder)}


def test_blocker_blocks(blocked):
    code = f"""
for name in {ABSENT!r}:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], env=blocked, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"{name} is blocked" for name in ABSENT]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_service_starts_searches_and_ends_without_torch(blocked, shop: Shop, runtime: str):
    environment = {"PYTHONPATH": f"{blocked['PYTHONPATH']}:{ROOT}"}
    with running(["--bundle", str(shop.root), "--runtime", runtime], environment=environment) as started:
        client = started.client
        response = client.post("/v1/search?k=5", files={"image": ("p.jpg", shop.pictures[0])})
        assert response.status_code == 200
        results = response.json()["results"]
        assert len(results) == 5
        assert results[0]["image_id"] == shop.rows()[0]["image_id"]
        assert client.get(results[0]["thumbnail"]).content == shop.pictures[0]
        runtimes = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
        assert runtimes[runtime] in client.get("/v1/bundle").json()["runtime"]
        code, errors = started.stop()
        assert code == 0, errors


def test_nothing_is_loaded_at_import():
    code = (
        "import sys, serve.app\n"
        "from pathlib import Path\n"
        "serve.app.create_app(Path('/no/such/bundle'))\n"
        f"print([name for name in {ABSENT!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
