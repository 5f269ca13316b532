"""Encoder to ONNX: one self-contained file that comes out the same each time."""

import copy
import logging
import warnings
from pathlib import Path

import onnx
import torch

from src.contracts.preprocessing import PreprocessingSpec
from src.export.runtime.protocol import EMBEDDING, NORM, PIXELS
from src.models.encoder import Encoder

__all__ = ["OPSET", "export_onnx", "write_stripped"]

OPSET = 20


def export_onnx(encoder: Encoder, spec: PreprocessingSpec, path: Path, *, precision: str = "fp32") -> None:
    """Write an encoder as ONNX, opset 20.

    The graph takes `pixels`, uint8 of shape (batch, size, size, 3), any batch, and gives `embedding`, float32 of shape
    (batch, dim), norm 1, and `norm`, float32 of shape (batch,), its norm before L2: normalisation, backbone, head and
    L2 are inside.

    With `fp16`, backbone and head are half before they are exported, normalisation and L2 float32. Converting the
    finished graph instead rounds more, or gives files that do not load.

    Args:
        encoder: in evaluation mode, on the CPU.
        spec: gives the size.
        path: file to write; all weights are in it.
        precision: `fp32` or `fp16`.
    """
    if precision == "fp16":
        encoder = _half_inside(encoder)
    example = torch.zeros(2, spec.size, spec.size, 3, dtype=torch.uint8)
    # The exporter and its optimiser report each of their passes.
    for name in ("torch.onnx", "onnx_ir", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _WithNorms(encoder),
            (example,),
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=[PIXELS],
            output_names=[EMBEDDING, NORM],
            dynamic_shapes={"pixels": {0: torch.export.Dim("batch", min=1)}},
            external_data=False,
            verbose=False,
        )
    write_stripped(onnx.load(path), path)


class _WithNorms(torch.nn.Module):
    """What is exported: the exporter traces `forward`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.encoder.with_norms(pixels)


def _half_inside(encoder: Encoder) -> Encoder:
    """A copy whose backbone and head compute in half precision."""
    encoder = copy.deepcopy(encoder)
    encoder.backbone.half()
    encoder.head.half()
    return encoder


def write_stripped(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph without the exporter's notes: they hold stack traces with paths of the machine that exported."""
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    del graph.metadata_props[:]
    for entry in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer, *model.functions]:
        entry.doc_string = ""
        del entry.metadata_props[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
