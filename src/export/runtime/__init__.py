"""Encoders as serving runs them: uint8 pixels in, normalised embeddings out. No torch here."""

from src.export.runtime.choice import PRECISIONS, RUNTIMES, open_encoder, open_graph
from src.export.runtime.onnx_runtime import OnnxEncoder
from src.export.runtime.openvino_runtime import OpenvinoEncoder
from src.export.runtime.protocol import EncoderRuntime, RuntimeAbsentError

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "EncoderRuntime",
    "OnnxEncoder",
    "OpenvinoEncoder",
    "RuntimeAbsentError",
    "open_encoder",
    "open_graph",
]
