"""The runtime that is taken, why, and what is refused."""

import logging
from pathlib import Path

import numpy as np
import pytest

from src.contracts.bundle import ENCODER, Bundle, open_bundle, staged_bundle
from src.contracts.errors import LookalikeError
from src.export.runtime import RUNTIMES, OnnxEncoder, OpenvinoEncoder, RuntimeAbsentError, choice, cpu, open_encoder


@pytest.fixture(scope="module")
def bundle(onnx_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("choice") / "bundle"
    with staged_bundle(root) as draft:
        (draft.root / ENCODER).write_bytes(onnx_file.read_bytes())
    return open_bundle(root)


@pytest.mark.parametrize(("flags", "kind"), [("fma avx2 avx512f avx512bw", OpenvinoEncoder), ("fma avx2", OnnxEncoder)])
def test_the_cpu_decides_and_the_log_says_why(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, flags: str, kind
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    with caplog.at_level(logging.INFO):
        encoder = open_encoder(bundle, threads=1)
    assert isinstance(encoder, kind)
    (message,) = [record.message for record in caplog.records if record.message.startswith("encoder: ")]
    assert encoder.description in message
    assert "onnxruntime-cuda: this ONNX Runtime has no CUDAExecutionProvider" in message
    assert ("this CPU has no AVX-512" in message) == (kind is OnnxEncoder)


def test_a_machine_that_does_not_tell_its_cpu_gets_onnx_runtime(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "absent")
    assert isinstance(open_encoder(bundle), OnnxEncoder)


@pytest.mark.parametrize(("name", "kind"), [("onnxruntime", OnnxEncoder), ("openvino", OpenvinoEncoder)])
def test_the_operator_decides(bundle: Bundle, pixels: np.ndarray, expected: np.ndarray, name: str, kind: type) -> None:
    encoder = open_encoder(bundle, runtime=name, threads=1)
    assert isinstance(encoder, kind)
    np.testing.assert_allclose(encoder.embed(pixels), expected, atol=1e-5)


def test_what_cannot_run_here_is_not_replaced_by_what_can(bundle: Bundle) -> None:
    with pytest.raises(RuntimeAbsentError, match="has no CUDAExecutionProvider; install"):
        open_encoder(bundle, runtime="onnxruntime-cuda")


def test_what_one_cannot_read_the_next_may(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a library does that is older than the graph's format; the bundle's hashes say that the file is whole."""
    (tmp_path / "newer.onnx").write_bytes(b"unknown")
    older = {"older": lambda files: OnnxEncoder(tmp_path / "newer.onnx")}
    monkeypatch.setattr(choice, "_ORDER", {**older, "next": RUNTIMES["onnxruntime"]})
    with caplog.at_level(logging.INFO):
        assert isinstance(open_encoder(bundle, threads=1), OnnxEncoder)
    assert "passed over: older: " in caplog.text
    monkeypatch.setattr(choice, "_ORDER", older)
    with pytest.raises(RuntimeAbsentError, match=r"cannot run here: older: .*not a loadable ONNX encoder"):
        open_encoder(bundle)


def test_unknown_and_impossible_options_are_refused(bundle: Bundle) -> None:
    with pytest.raises(LookalikeError, match=f"`runtime=tflite`: must be auto or one of {', '.join(RUNTIMES)}"):
        open_encoder(bundle, runtime="tflite")
    with pytest.raises(LookalikeError, match="`precision=bf16`: only OpenVINO has it"):
        open_encoder(bundle, runtime="onnxruntime", precision="bf16")
