"""Another encoder takes the place of the served one, or stays out."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from src.contracts.bundle import ENCODER, GOLDEN, open_bundle, staged_bundle
from src.contracts.errors import ConfigError, GateError
from src.contracts.settings import DataSettings, IndexSettings
from src.export.runtime import OnnxEncoder
from src.export.runtime.golden import write_golden
from src.pipelines.exchange_encoder import backfill
from src.pipelines.settings import BatchSettings
from tests.pipelines.small_run import IN_PROCESS, rows_of, run, write_encoder_bundle
from tests.search.small_bundle import DIM, SPEC, write_encoder


def write_other(root: Path, *, noise: float) -> Path:
    """An encoder of another id: the colour grid, of which most is lost where noise is large."""
    with staged_bundle(root) as draft:
        path = draft.root / ENCODER
        write_encoder(path)
        model = onnx.load(path)
        keep = np.ones(DIM, np.float32)
        keep[1:] -= np.float32(noise)
        model.graph.initializer.append(numpy_helper.from_array(keep, "keep"))
        for node in model.graph.node:
            if node.op_type == "Sub":
                node.output[0] = "before"
        position = next(place for place, node in enumerate(model.graph.node) if node.op_type == "Sub")
        model.graph.node.insert(position + 1, onnx.helper.make_node("Mul", ["before", "keep"], ["centred"]))
        onnx.save(model, str(path))
        write_golden(draft.root / GOLDEN, SPEC, OnnxEncoder(path, threads=1).embed_with_norms)
        draft.content |= open_like(root.name)
    return root


def open_like(name: str) -> dict:
    return {
        "preprocessing": SPEC.to_dict(),
        "encoder_id": name,
        "dim": DIM,
        "metric": "cosine",
        "precision": "fp32",
        "config": {"name": name},
    }


@pytest.fixture
def data(tmp_path: Path, folder_catalogue, data_settings) -> DataSettings:
    root = folder_catalogue(tmp_path / "items", items=24, images=2, side=64)
    return data_settings(root=str(root), val_fraction=0.0, test_fraction=0.9)


def settings(bundle: Path, tmp_path: Path, data: DataSettings, publish: str = "published") -> BatchSettings:
    return BatchSettings(
        bundle=str(bundle),
        output=str(tmp_path / "out"),
        publish=str(tmp_path / publish) if publish else "",
        data=data,
        engine=IN_PROCESS,
        runtime="onnxruntime",
        max_quarantined=1.0,
        index=IndexSettings(min_recall=0.0),
    )


def test_an_encoder_that_finds_as_much_takes_the_place_and_a_worse_one_does_not(
    tmp_path: Path, data: DataSettings
) -> None:
    old = write_encoder_bundle(tmp_path / "old")
    published = tmp_path / "published"
    run(old, tmp_path / "out", data, publish=str(published))
    good = write_other(tmp_path / "good", noise=0.0)
    backfill(settings(good, tmp_path, data))
    served = open_bundle(published)
    assert served.content["encoder_id"] == "good"
    assert served.content["index"]["vectors"] == 48
    assert len(rows_of(tmp_path / "out", "embeddings")) == 2 * 48

    blind = write_other(tmp_path / "blind", noise=1.0)
    with pytest.raises(GateError, match="the new encoder finds less"):
        backfill(settings(blind, tmp_path, data))
    assert open_bundle(published).bundle_id == served.bundle_id
    with pytest.raises(ConfigError, match="already"):
        backfill(settings(good, tmp_path, data))


def test_what_is_not_served_cannot_be_exchanged(tmp_path: Path, data: DataSettings) -> None:
    encoder = write_encoder_bundle(tmp_path / "published")
    with pytest.raises(ConfigError, match="has no index"):
        backfill(settings(write_other(tmp_path / "good", noise=0.0), tmp_path, data))
    with pytest.raises(ConfigError, match="name the folder"):
        backfill(settings(encoder, tmp_path, data, publish=""))
