"""The bundle that is built of stored embeddings is what export.py builds of the same catalogue."""

from pathlib import Path

import numpy as np
import torch

from src.catalog.catalogue import open_catalogue
from src.contracts.bundle import DRIFT_REFERENCE, INDEX, NEIGHBOURS, VECTOR_HASHES, open_bundle
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import GateSettings, IndexSettings
from src.export.builder import build_bundle
from src.index.faiss_index import FaissIndex
from src.models.encoder import build_encoder
from tests.pipelines.small_run import run

OF_VECTORS = {INDEX, NEIGHBOURS, DRIFT_REFERENCE, VECTOR_HASHES}
"""Files that hold vectors, which are stored in 16 bits."""


def test_it_is_what_export_builds(tmp_path: Path, folder_catalogue, data_settings) -> None:
    root = folder_catalogue(tmp_path / "items", items=15, images=2, side=64)
    data = data_settings(root=str(root))
    torch.manual_seed(0)
    spec = PreprocessingSpec(size=32)
    network = {"backbone": "resnet10t", "backbone_kwargs": {"channels": [8, 8, 16, 16]}, "hidden_dim": 16}
    exported = build_bundle(
        tmp_path / "exported",
        encoder=build_encoder(spec=spec, **network, embedding_dim=16).eval(),
        spec=spec,
        card={"name": "test", "data": {}},
        catalogue=open_catalogue(data),
        index=IndexSettings(),
        evaluation={"recall@1": 0.5},
        precision="fp32",
        index_precision="",
        engines=(),
        engine_batch=4,
        gates=GateSettings(),
        parity_images=4,
        overlap_images=20,
        calibration_images=8,
        thumbnail=256,
        batch=8,
    )
    run(exported.root, tmp_path / "out", data, publish=str(tmp_path / "published"), index=IndexSettings())
    published = open_bundle(tmp_path / "published")
    assert published.content["files"].keys() == exported.content["files"].keys()
    same = {name for name, file in published.content["files"].items() if file == exported.content["files"][name]}
    assert same == exported.content["files"].keys() - OF_VECTORS
    parts = exported.content.keys() - {"files"}
    assert {name: published.content[name] for name in parts} == {name: exported.content[name] for name in parts}
    assert published.measured["evaluation"] == {"recall@1": 0.5}

    theirs, ours = (FaissIndex.load(bundle.path(INDEX)) for bundle in (exported, published))
    vectors = theirs.vectors(np.arange(30))
    np.testing.assert_allclose(ours.vectors(np.arange(30)), vectors, atol=1e-3)
    (scores, rows), (expected_scores, expected_rows) = ours.search(vectors, 10), theirs.search(vectors, 10)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-3)
    differ = rows != expected_rows
    # Only what is equally near may change places.
    assert np.abs(scores - np.take_along_axis(vectors @ vectors.T, expected_rows, 1))[differ].max(initial=0) < 1e-3
