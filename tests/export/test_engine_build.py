"""TensorRT-RTX takes our graphs: parsed, type-checked and built for GPUs that are not here."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.export.engine_build import build_engine, load_engine
from src.export.onnx_export import export_onnx
from src.export.quantise import quantise
from src.export.runtime import RuntimeAbsentError
from src.export.runtime.tensorrt_flavour import Flavour, load_flavour
from src.models.encoder import Encoder, build_encoder

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is there for Linux on x86-64 only")

MIB = 2**20
# Normalisation (subtract, divide), the cast of the pixels, L2 and the norm; nothing of backbone or head.
FLOAT_LAYERS_AROUND_HALF = 16


def exported(encoder: Encoder, spec: PreprocessingSpec, path: Path, precision: str) -> Path:
    export_onnx(encoder, spec, path, precision=precision)
    return path


@pytest.mark.parametrize("target", ["rtx-sm86", "rtx-sm89", "rtx-sm120"])
def test_the_demo_s_kind_of_network_builds_for_each_gpu(onnx_file: Path, tmp_path: Path, target: str) -> None:
    engine = build_engine(onnx_file, tmp_path, target, batch=8)
    assert engine.file == f"encoder.{target[4:]}.rtx{load_flavour('tensorrt_rtx').version}.plan"
    assert (tmp_path / engine.file).stat().st_size == engine.bytes
    assert set(engine.layers) == {"FLOAT"}


def test_what_the_builder_says_is_told(onnx_file: Path, tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match=r"builds no engine for rtx-sm75: .*FP32 GEMM is not supported"):
        build_engine(onnx_file, tmp_path, "rtx-sm75", batch=8)


def test_half_is_half_inside(encoder, spec, tmp_path: Path) -> None:
    half = build_engine(exported(encoder, spec, tmp_path / "a.onnx", "fp16"), tmp_path, "rtx-sm89", batch=8)
    assert half.layers["HALF"] > 20
    assert half.layers["FLOAT"] <= FLOAT_LAYERS_AROUND_HALF


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_vit_b_16_with_its_head_builds(tmp_path: Path, precision: str) -> None:
    torch.manual_seed(0)
    spec = PreprocessingSpec(size=224)
    # The twelve blocks are equal, and exporting takes most of the time.
    depth = {"fp32": 2, "fp16": 4}[precision]
    encoder = build_encoder(spec=spec, backbone="vit_base_patch16_224", backbone_kwargs={"depth": depth}).eval()
    numbers = sum(parameter.numel() for parameter in encoder.parameters())
    assert numbers > depth * 7e6
    graph = exported(encoder, spec, tmp_path / "encoder.onnx", precision)
    engine = build_engine(graph, tmp_path, "rtx-sm89", batch=8)
    size = {"fp32": 4, "fp16": 2}[precision] * numbers
    assert size < engine.bytes < size + 16 * MIB
    if precision == "fp32":
        assert set(engine.layers) == {"FLOAT"}
    else:
        # Blocks of 6 products (attention's two among them) and the head's two.
        assert engine.layers["HALF"] > depth * 6 + 2
        assert engine.layers["FLOAT"] <= FLOAT_LAYERS_AROUND_HALF


def test_int8_is_taken_as_the_graph_says_it(onnx_file: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    quantise(onnx_file, tmp_path / "int8.onnx", pixels)
    engine = build_engine(tmp_path / "int8.onnx", tmp_path, "rtx-sm89", batch=8)
    assert engine.layers["INT8"] >= 2


def test_a_broken_graph_fails_with_the_parser_s_words(onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(onnx_file)
    next(node for node in model.graph.node if node.op_type == "Conv").op_type = "Convolve"
    onnx.save(model, str(tmp_path / "broken.onnx"))
    with pytest.raises(LookalikeError, match=r"broken\.onnx: tensorrt_rtx does not take the graph: .*Convolve"):
        build_engine(tmp_path / "broken.onnx", tmp_path, "rtx-sm89", batch=8)
    assert not list(tmp_path.glob("*.plan"))


def test_types_that_do_not_meet_fail(onnx_file: Path, tmp_path: Path) -> None:
    """A strongly typed network converts nothing by itself."""
    model = onnx.load(onnx_file)
    first = next(node for node in model.graph.node if node.op_type == "Cast")
    first.attribute[0].i = onnx.TensorProto.FLOAT16
    onnx.save(model, str(tmp_path / "mixed.onnx"))
    with pytest.raises(LookalikeError, match=r"mixed\.onnx"):
        build_engine(tmp_path / "mixed.onnx", tmp_path, "rtx-sm89", batch=8)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_without_a_gpu_it_is_built_but_not_run(onnx_file: Path, tmp_path: Path) -> None:
    engine = build_engine(onnx_file, tmp_path, "rtx-sm89", batch=8)
    with pytest.raises(RuntimeAbsentError, match="CUDA"):
        load_engine(tmp_path / engine.file, "rtx-sm89")


def test_what_is_not_installed_is_said(onnx_file: Path, tmp_path: Path) -> None:
    try:
        import tensorrt  # noqa: F401
    except ImportError:
        with pytest.raises(RuntimeAbsentError, match=r"tensorrt cannot be imported .* install `\.\[gpu\]`"):
            build_engine(onnx_file, tmp_path, "tensorrt", batch=8)


class Version:
    class NetworkDefinitionCreationFlag:
        STRONGLY_TYPED = 1

    def __init__(self, version: str) -> None:
        self.__version__ = version


def test_a_library_that_cuda_does_not_start_for_is_absent() -> None:
    class Dead(Version):
        def Builder(self, logger: object) -> None:
            raise TypeError("pybind11::init(): factory function returned nullptr")

    logger = load_flavour("tensorrt_rtx").logger()
    with pytest.raises(RuntimeAbsentError, match=r"tensorrt 11\.4 does not start: pybind11"):
        Flavour("tensorrt", Dead("11.4.0.1")).start("Builder", logger)
    logger.errors.append("driver version is insufficient")
    with pytest.raises(RuntimeAbsentError, match="does not start: driver version is insufficient"):
        Flavour("tensorrt", Dead("11.4.0.1")).start("Builder", logger)


@pytest.mark.parametrize(("version", "flags"), [("10.13.3.9", 2), ("11.4.0.1", 0)])
def test_strong_typing_is_asked_for_where_it_must_be(version: str, flags: int) -> None:
    flavour = Flavour("tensorrt", Version(version))
    assert flavour.network_flags == flags
    assert flavour.engine_name(90) == f"encoder.sm90.trt{'.'.join(version.split('.')[:2])}.plan"
