"""INT8 graphs: what is quantised, how, and that it is the same each time."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.export.onnx_export import export_onnx
from src.export.quantise import quantise
from src.export.runtime import OnnxEncoder, OpenvinoEncoder
from src.models.encoder import Encoder, build_encoder

SPEC = PreprocessingSpec(size=32)


@pytest.fixture(scope="module")
def transformer() -> Encoder:
    torch.manual_seed(0)
    small = {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 8}
    encoder = build_encoder(
        spec=SPEC, backbone="vit_tiny_patch16_224", backbone_kwargs=small, hidden_dim=32, embedding_dim=16
    )
    return encoder.eval()


@pytest.fixture(scope="module")
def source(transformer: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fp32") / "encoder.onnx"
    export_onnx(transformer, SPEC, path)
    return path


@pytest.fixture(scope="module")
def images(picture) -> np.ndarray:
    return np.stack([picture(32, 32, seed=number) for number in range(24)])


@pytest.fixture(scope="module")
def quantised(source: Path, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "encoder.onnx"
    # Per block: query-key-value, projection, two of the MLP; and two of the head.
    assert quantise(source, path, images[:16]) == 2 * 4 + 2
    return path


def test_products_with_weights_are_quantised_and_those_of_activations_are_not(quantised: Path) -> None:
    graph = onnx.load(quantised).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    inputs = [[made_by.get(name) == "DequantizeLinear" for name in node.input[:2]] for node in products]
    assert inputs.count([True, True]) == 10
    assert inputs.count([False, False]) == len(products) - 10 == 4
    biases = [made_by.get(node.input[2]) for node in products if len(node.input) == 3]
    assert set(biases) <= {None}
    assert "DequantizeLinear" not in {made_by.get(node.input[1]) for node in graph.node if node.op_type == "Conv"}


def test_weights_are_per_channel_and_everything_is_symmetric(quantised: Path) -> None:
    graph = onnx.load(quantised).graph
    values = {initializer.name: numpy_helper.to_array(initializer) for initializer in graph.initializer}
    weights = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in values]
    assert len(weights) == 10
    for node in weights:
        assert values[node.input[0]].dtype == np.int8
        assert values[node.input[1]].size in values[node.input[0]].shape
        assert values[node.input[1]].size > 1
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert not values[node.input[2]].any()


def test_the_same_images_give_the_same_file(source: Path, quantised: Path, images: np.ndarray, tmp_path: Path) -> None:
    quantise(source, tmp_path / "encoder.onnx", images[:16])
    assert (tmp_path / "encoder.onnx").read_bytes() == quantised.read_bytes()
    quantise(source, tmp_path / "other.onnx", images[16:] // 2)
    assert (tmp_path / "other.onnx").read_bytes() != quantised.read_bytes()


@pytest.mark.parametrize("kind", [OnnxEncoder, OpenvinoEncoder])
def test_each_runtime_computes_what_the_graph_says(
    kind: type, quantised: Path, source: Path, images: np.ndarray
) -> None:
    # With weights of 8 bits sums saturate on a processor without VNNI: .992 in ONNX Runtime, .935 in OpenVINO.
    graph = onnx.load(quantised)
    true, norms = ReferenceEvaluator(graph).run(None, {graph.graph.input[0].name: images})
    found, found_norms = kind(quantised, threads=1).embed_with_norms(images)
    np.testing.assert_allclose(found_norms, norms, rtol=0.05)
    assert (true * found).sum(axis=1).min() > 0.998
    exact = OnnxEncoder(source, threads=1).embed(images)
    assert (exact * found).sum(axis=1).min() > 0.99
    assert not np.array_equal(exact, found)


def test_weights_have_seven_bits(quantised: Path) -> None:
    values = [numpy_helper.to_array(initializer) for initializer in onnx.load(quantised).graph.initializer]
    weights = [array for array in values if array.dtype == np.int8 and array.ndim == 2]
    assert len(weights) == 10
    assert {int(np.abs(array.astype(int)).max()) for array in weights} == {64}


def test_a_graph_without_products_is_refused(spec, tmp_path: Path, images: np.ndarray) -> None:
    torch.manual_seed(0)
    small = {"channels": [8, 8, 16, 16]}
    encoder = build_encoder(spec=spec, backbone="resnet10t", backbone_kwargs=small, head="none").eval()
    export_onnx(encoder, spec, tmp_path / "encoder.onnx")
    with pytest.raises(LookalikeError, match="no matrix product with weights; set `precision=fp16`"):
        quantise(tmp_path / "encoder.onnx", tmp_path / "int8.onnx", images)
