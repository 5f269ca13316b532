"""The exported graph is torch's encoder, in one file that is the same each time."""

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from src.export.onnx_export import OPSET, export_onnx
from src.export.runtime import OnnxEncoder
from src.models.encoder import build_encoder


def test_the_graph_takes_bytes_and_has_the_promised_opset(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    assert [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")] == [OPSET] == [20]
    (source,) = model.graph.input
    result, norm = model.graph.output
    assert (source.name, result.name, norm.name) == ("pixels", "embedding", "norm")
    assert len(norm.type.tensor_type.shape.dim) == 1
    assert norm.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
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


@pytest.fixture(scope="module")
def half_file(encoder, spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "encoder.onnx"
    export_onnx(encoder, spec, path, precision="fp16")
    return path


def test_half_is_inside_and_float32_around(half_file: Path) -> None:
    graph = onnx.load(half_file).graph
    assert onnx.TensorProto.FLOAT16 in {initializer.data_type for initializer in graph.initializer}
    weights = [initializer for initializer in graph.initializer if initializer.data_type == onnx.TensorProto.FLOAT]
    # Mean and std, and the smallest norm.
    assert sum(int(np.prod(weight.dims)) for weight in weights) <= 10
    # TensorRT takes bytes only to convert them.
    assert {node.op_type for node in graph.node if "pixels" in node.input} == {"Cast", "Shape"}
    assert {result.type.tensor_type.elem_type for result in graph.output} == {onnx.TensorProto.FLOAT}


def test_half_leaves_the_encoder_as_it_was(encoder, half_file: Path) -> None:
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert encoder.dtype == torch.float32


def test_half_is_half_the_size_and_close(
    onnx_file: Path, half_file: Path, pixels: np.ndarray, expected: np.ndarray
) -> None:
    assert half_file.stat().st_size < 0.75 * onnx_file.stat().st_size
    vectors = OnnxEncoder(half_file, threads=1).embed(pixels)
    assert (1 - (vectors * expected).sum(axis=1)).max() < 1e-4


@pytest.mark.parametrize("head", ["linear", "pca", "residual", "none"])
def test_other_heads_are_exported_in_half(head: str, spec, pixels: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(1)
    arguments: dict = {"backbone": "resnet10t", "backbone_kwargs": {"channels": [8, 8, 16, 16]}, "hidden_dim": 6}
    other = build_encoder(spec=spec, head=head, embedding_dim=8, **arguments).eval()
    with torch.no_grad():
        for parameter in other.head.parameters():
            parameter.normal_(std=0.3)
        expected = other(torch.from_numpy(pixels)).numpy()
    export_onnx(other, spec, tmp_path / "encoder.onnx", precision="fp16")
    vectors = OnnxEncoder(tmp_path / "encoder.onnx", threads=1).embed(pixels)
    assert (1 - (vectors * expected).sum(axis=1)).max() < 1e-4


def test_two_half_exports_are_equal_to_the_byte(encoder, spec, half_file: Path, tmp_path: Path) -> None:
    export_onnx(encoder, spec, tmp_path / "encoder.onnx", precision="fp16")
    assert (tmp_path / "encoder.onnx").read_bytes() == half_file.read_bytes()


def test_a_vanishing_embedding_is_no_nan_in_half(encoder, spec, tmp_path: Path) -> None:
    """`F.normalize`'s own eps, 1e-12, is 0 in half precision."""
    dead = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in dead.head.parameters():
            parameter.zero_()
    export_onnx(dead, spec, tmp_path / "encoder.onnx", precision="fp16")
    encode = OnnxEncoder(tmp_path / "encoder.onnx", threads=1).embed_with_norms
    vectors, norms = encode(np.zeros((2, 32, 32, 3), np.uint8))
    np.testing.assert_array_equal(vectors, 0)
    np.testing.assert_array_equal(norms, 0)
