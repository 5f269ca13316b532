"""The exported graph is torch's encoder, in one file that is the same each time."""

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from src.contracts.errors import GateError
from src.export.onnx_export import OPSET, export_onnx
from src.export.parity import Parity, check_parity, measure_parity
from src.export.runtime import OnnxEncoder


def test_the_graph_takes_bytes_and_has_the_promised_opset(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    assert [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")] == [OPSET] == [20]
    (source,) = model.graph.input
    (result,) = model.graph.output
    assert (source.name, result.name) == ("pixels", "embedding")
    assert source.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert result.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    dims = source.type.tensor_type.shape.dim
    assert dims[0].dim_param
    assert [dim.dim_value for dim in dims[1:]] == [32, 32, 3]


def test_the_file_holds_everything_and_no_path_of_the_machine(onnx_file: Path, repository: Path) -> None:
    assert [path.name for path in onnx_file.parent.iterdir()] == ["encoder.onnx"]
    data = onnx_file.read_bytes()
    for path in (str(repository), str(Path.home()), str(onnx_file.parent), "site-packages", ".py"):
        assert path.encode() not in data, path


def test_two_exports_are_equal_to_the_byte(encoder, spec, onnx_file: Path, tmp_path: Path) -> None:
    export_onnx(encoder, spec, tmp_path / "encoder.onnx")
    assert (tmp_path / "encoder.onnx").read_bytes() == onnx_file.read_bytes()


LIMITS = {"max_abs": 1e-5, "min_centred_cosine": 0.9999}


def test_a_faithful_export_passes_the_gate(onnx_file: Path, pixels: np.ndarray, expected: np.ndarray) -> None:
    parity = measure_parity(pixels, expected, OnnxEncoder(onnx_file))
    assert parity.images == 20
    assert parity.max_abs < 1e-5
    assert parity.centred_cosine > 0.99999
    check_parity(parity, **LIMITS)


def test_perturbed_weights_fail_the_gate_by_what_they_are_off(
    encoder, spec, pixels: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    changed = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in changed.head.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    export_onnx(changed, spec, tmp_path / "encoder.onnx")
    runtime = OnnxEncoder(tmp_path / "encoder.onnx")
    parity = measure_parity(pixels, expected, runtime)
    assert parity.max_abs == pytest.approx(np.abs(runtime.embed(pixels) - expected).max())
    with pytest.raises(GateError, match="differs from torch on 20 images") as caught:
        check_parity(parity, **LIMITS)
    assert f"max_abs is {parity.max_abs:.3g}, the limit is 1e-05 (off by" in str(caught.value)
    assert "norm_error" not in str(caught.value)


class Fixed:
    """A runtime that gives prepared answers, and others for single images."""

    def __init__(self, together: np.ndarray, alone: np.ndarray | None = None) -> None:
        self.answers = {len(together): together}
        self.alone = iter(together if alone is None else alone)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        return next(self.alone)[None] if len(pixels) == 1 else self.answers[len(pixels)]


def test_figures_are_those_of_a_slow_reference() -> None:
    rng = np.random.default_rng(0)
    true, ours, alone = (rng.standard_normal((6, 4)).astype(np.float32) for _ in range(3))
    parity = measure_parity(np.zeros((6, 1, 1, 3), np.uint8), true, Fixed(ours, alone))
    mean = true.mean(axis=0)
    cosines = [
        np.dot(a - mean, b - mean) / np.linalg.norm(a - mean) / np.linalg.norm(b - mean)
        for a, b in zip(ours, true, strict=True)
    ]
    assert parity.max_abs == pytest.approx(max(abs(a - b) for a, b in zip(ours.flat, true.flat, strict=True)))
    assert parity.batch_max_abs == pytest.approx(np.abs(ours - alone).max())
    assert parity.centred_cosine == pytest.approx(min(cosines), abs=1e-6)
    assert parity.norm_error == pytest.approx(max(abs(np.linalg.norm(a) - 1) for a in ours), abs=1e-6)


def test_damage_that_the_plain_cosine_hides_is_seen() -> None:
    rng = np.random.default_rng(0)
    # Embeddings that cluster: all within a few degrees.
    true = np.ones((8, 16)) + 0.01 * rng.standard_normal((8, 16))
    true = (true / np.linalg.norm(true, axis=1, keepdims=True)).astype(np.float32)
    swapped = np.roll(true, 1, axis=0)
    assert (true * swapped).sum(axis=1).min() > 0.999
    assert measure_parity(np.zeros((8, 1, 1, 3), np.uint8), true, Fixed(swapped)).centred_cosine < 0.9


@pytest.mark.parametrize("name", ["max_abs", "centred_cosine", "batch_max_abs", "norm_error"])
def test_nan_misses_every_limit(name: str) -> None:
    good = {"images": 4, "max_abs": 0.0, "centred_cosine": 1.0, "batch_max_abs": 0.0, "norm_error": 0.0}
    check_parity(Parity(**good), **LIMITS)
    with pytest.raises(GateError, match=f"{name} is nan"):
        check_parity(Parity(**{**good, name: float("nan")}), **LIMITS)
