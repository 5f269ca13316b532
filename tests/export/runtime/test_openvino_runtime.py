"""OpenVINO's arithmetic is what was asked for, or an error."""

import subprocess
import sys
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


# OpenVINO changes the stack for signals of the thread that opens it, where the CPU has AVX-512.
CLOSED_THEN_SIGNALLED = """
import gc
import os
import signal
import sys
import threading
from pathlib import Path

from src.export.runtime import OpenvinoEncoder

signal.signal(signal.SIGTERM, lambda *_: print("stopping", flush=True))
first, second = (OpenvinoEncoder(Path(sys.argv[1]), threads=1) for _ in range(2))
if sys.argv[2] == "in the order of opening":
    del first
    gc.collect()
    del second
    gc.collect()
else:
    encoders = [first, second]
    del first, second
    thread = threading.Thread(target=encoders.clear)
    thread.start()
    thread.join()
os.kill(os.getpid(), signal.SIGTERM)
print("stopped")
"""


@pytest.mark.parametrize("closed", ["in the order of opening", "by another thread"])
def test_a_signal_after_encoders_were_closed_is_handled(closed: str, onnx_file: Path, repository: Path) -> None:
    command = [sys.executable, "-c", CLOSED_THEN_SIGNALLED, str(onnx_file), closed]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "stopping\nstopped\n"), done.stderr
