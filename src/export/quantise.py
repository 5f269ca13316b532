"""A float32 graph to INT8 by QuantizeLinear and DequantizeLinear nodes, which each runtime reads as it can."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from src.contracts.errors import LookalikeError
from src.export.onnx_export import write_stripped

__all__ = ["quantise"]

_BATCH = 8
_PRODUCTS = ("MatMul", "Gemm")


class _Pixels(CalibrationDataReader):
    """Calibration images in batches, once."""

    def __init__(self, name: str, pixels: np.ndarray) -> None:
        self._name = name
        self._batches = iter([pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def quantise(source: Path, path: Path, pixels: np.ndarray) -> int:
    """Write a graph whose products with weights compute in INT8; the same inputs give the same file.

    Weights are quantised per channel, activations per tensor by the range that they take on the calibration images,
    both symmetrically (TensorRT takes nothing else). Weights have 7 bits: x86 processors without VNNI add two products
    in 16 bits (VPMADDUBSW), where the sum of two 8-bit ones saturates. Products of two activations (attention) stay in
    float32, and so do biases and convolutions: INT8 is for transformers.

    Args:
        source: a float32 graph that `export_onnx` wrote.
        path: file to write.
        pixels: uint8 array of shape (images, size, size, 3), catalogue images; never those that evaluation asks with.

    Returns:
        The number of products that were quantised.

    Raises:
        LookalikeError: the graph has no product with weights.
    """
    model = onnx.load(source)
    weights = {initializer.name for initializer in model.graph.initializer}
    chosen = [
        node.name
        for node in model.graph.node
        if node.op_type in _PRODUCTS and any(name in weights for name in node.input[:2])
    ]
    if not chosen:
        raise LookalikeError("`precision=int8`: the encoder has no matrix product with weights; set `precision=fp16`")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        quantised = Path(folder) / "quantised.onnx"
        quantize_static(
            str(source),
            str(quantised),
            _Pixels(model.graph.input[0].name, pixels),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_PRODUCTS),
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
        write_stripped(onnx.load(quantised), path)
    return len(chosen)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on the root logger to optimise the graph first, which the exporter has done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
