"""One small encoder and its export, for the whole folder."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from src.contracts.preprocessing import PreprocessingSpec
from src.export.onnx_export import export_onnx
from src.models.encoder import Encoder, build_encoder

SPEC = PreprocessingSpec(size=32, resize="squash", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.fixture(scope="session")
def spec() -> PreprocessingSpec:
    return SPEC


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    torch.manual_seed(0)
    arguments = {"backbone": "resnet10t", "backbone_kwargs": {"channels": [8, 8, 16, 16]}, "hidden_dim": 16}
    return build_encoder(spec=SPEC, **arguments, embedding_dim=8).eval()


@pytest.fixture(scope="session")
def onnx_file(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "encoder.onnx"
    export_onnx(encoder, SPEC, path)
    return path


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def expected(encoder: Encoder, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return encoder(torch.from_numpy(pixels)).numpy()


@pytest.fixture(scope="session")
def norms(encoder: Encoder, pixels: np.ndarray) -> np.ndarray:
    """Of torch's features before L2."""
    with torch.no_grad():
        return encoder.features(torch.from_numpy(pixels)).norm(dim=1).numpy()


def one_output(source: Path, path: Path) -> Path:
    """A graph as bundles of before 2026-12 have it: without norms."""
    model = onnx.load(source)
    del model.graph.output[1]
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="session")
def old_onnx_file(onnx_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_output(onnx_file, tmp_path_factory.mktemp("old") / "encoder.onnx")
