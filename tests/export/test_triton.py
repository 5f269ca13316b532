"""The Triton repository: its layout, and its configs as the text format of protocol buffers."""

import re
from pathlib import Path

import onnx
import pytest

from src.contracts.bundle import ENCODER, Bundle, open_bundle, staged_bundle
from src.contracts.errors import ConfigError
from src.export.triton import write_triton
from tests.search.small_bundle import DIM, SPEC, catalogue, write_bundle

NORM = {"name": "norm", "data_type": "TYPE_FP32", "dims": [1], "reshape": {"shape": []}}
"""Triton's words for one number an image."""

TOKEN = re.compile(r'\s*(?:([A-Za-z_][A-Za-z_0-9]*)|("[^"\n]*")|(-?\d+)|([\[\]{}:,]))')


def parse(text: str) -> dict:
    """The subset of the text format that the configs use, read strictly."""
    tokens, at = [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        assert match, text[at : at + 20]
        tokens.append(match.group().strip())
        at = match.end()

    def value() -> object:
        token = tokens.pop(0)
        if token == "{":
            return message("}")
        if token == "[":
            found = []
            while tokens[0] != "]":
                found.append(value())
                if tokens[0] == ",":
                    tokens.pop(0)
            tokens.pop(0)
            return found
        return int(token) if token.lstrip("-").isdigit() else token.strip('"')

    def message(end: str | None) -> dict:
        found: dict = {}
        while tokens and tokens[0] != end:
            name = tokens.pop(0)
            assert name.isidentifier(), name
            if tokens[0] == ":":
                tokens.pop(0)
            assert name not in found, name
            found[name] = value()
        if end:
            assert tokens.pop(0) == end
        return found

    return message(None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("triton")
    plain = open_bundle(write_bundle(folder / "plain", catalogue(3)).root)
    with staged_bundle(folder / "engines") as draft:
        for file in plain.content["files"]:
            (draft.root / file).write_bytes(plain.path(file).read_bytes())
        for name in ("encoder.sm90.trt11.4.plan", "encoder.sm89.rtx1.7.plan"):
            (draft.root / name).write_bytes(name.encode())
        draft.content |= {k: v for k, v in plain.content.items() if k != "files"}
        draft.content["outputs"] = ["embedding", "norm"]
    return open_bundle(folder / "engines")


def test_each_model_has_its_config_and_its_file(bundle: Bundle, tmp_path: Path) -> None:
    assert write_triton(bundle, tmp_path / "models", batch=16) == ["encoder", "encoder_sm90"]
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == [
        "models/encoder/1/encoder.onnx",
        "models/encoder/config.pbtxt",
        "models/encoder_sm90/1/encoder.sm90.trt11.4.plan",
        "models/encoder_sm90/config.pbtxt",
    ]
    config = parse((tmp_path / "models" / "encoder" / "config.pbtxt").read_text())
    assert config == {
        "name": "encoder",
        "backend": "onnxruntime",
        "max_batch_size": 16,
        "default_model_filename": ENCODER,
        "input": [{"name": "pixels", "data_type": "TYPE_UINT8", "dims": [SPEC.size, SPEC.size, 3]}],
        "output": [{"name": "embedding", "data_type": "TYPE_FP32", "dims": [DIM]}, NORM],
        "dynamic_batching": {"max_queue_delay_microseconds": 2000},
        "instance_group": [{"count": 1, "kind": "KIND_AUTO"}],
    }
    engine = parse((tmp_path / "models" / "encoder_sm90" / "config.pbtxt").read_text())
    assert (engine["backend"], engine["default_model_filename"]) == ("tensorrt", "encoder.sm90.trt11.4.plan")


def test_the_config_is_what_a_graph_of_before_says(bundle: Bundle, tmp_path: Path) -> None:
    content = {name: value for name, value in bundle.content.items() if name != "outputs"}
    old = Bundle(bundle.root, bundle.bundle_id, content, bundle.measured)
    write_triton(old, tmp_path / "models", batch=8)
    config = parse((tmp_path / "models" / "encoder" / "config.pbtxt").read_text())
    graph = onnx.load(tmp_path / "models" / "encoder" / "1" / ENCODER).graph
    for ours, theirs in ((config["input"], graph.input), (config["output"], graph.output)):
        (tensor,) = theirs
        assert ours[0]["name"] == tensor.name
        # Triton's dims leave the batch out.
        assert ours[0]["dims"] == [dim.dim_value for dim in tensor.type.tensor_type.shape.dim[1:]]


def test_a_file_that_is_gone_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    away = Bundle(tmp_path / "away", bundle.bundle_id, bundle.content, bundle.measured)
    with pytest.raises(FileNotFoundError):
        write_triton(away, tmp_path / "models", batch=8)
    assert [path.name for path in tmp_path.rglob("*")] == ["models"]
    write_triton(bundle, tmp_path / "models", batch=8)
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_filled_folder_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not empty"):
        write_triton(bundle, tmp_path, batch=8)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
