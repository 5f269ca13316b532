"""OpenVINO's arithmetic is what was asked for, or an error."""

from pathlib import Path

import openvino
import pytest

from src.contracts.errors import LookalikeError
from src.export.runtime import OpenvinoEncoder, RuntimeAbsentError


def test_the_precision_is_set_and_named(onnx_file: Path) -> None:
    encoder = OpenvinoEncoder(onnx_file, threads=1)
    assert encoder._model.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert encoder._model.get_property("INFERENCE_NUM_THREADS") == 1
    assert encoder.description.startswith("OpenVINO 20")
    assert encoder.description.endswith("on the CPU, f32")


def test_bf16_is_taken_where_the_cpu_has_it_and_refused_elsewhere(onnx_file: Path) -> None:
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert OpenvinoEncoder(onnx_file, precision="bf16").description.endswith("bf16")
    else:
        with pytest.raises(RuntimeAbsentError, match="computes in f32 on this CPU, which lacks bf16"):
            OpenvinoEncoder(onnx_file, precision="bf16")


def test_an_unknown_precision_is_refused(onnx_file: Path) -> None:
    with pytest.raises(LookalikeError, match="`precision=fp8`: must be one of f32, bf16"):
        OpenvinoEncoder(onnx_file, precision="fp8")


def test_nothing_is_cached_on_disk(onnx_file: Path) -> None:
    before = sorted(onnx_file.parent.iterdir())
    OpenvinoEncoder(onnx_file)
    assert sorted(onnx_file.parent.iterdir()) == before
