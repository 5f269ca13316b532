"""Checkpoint and catalogue to bundle, end to end on a small folder."""

import copy
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.bundle import (
    DRIFT_REFERENCE,
    ENCODER,
    GOLDEN,
    INDEX,
    ITEMS_ARROW,
    ITEMS_TABLE,
    MANIFEST,
    NEIGHBOURS,
    THUMBNAILS,
    TRENDING,
    VECTOR_HASHES,
    WORDS,
    Bundle,
    open_bundle,
)
from src.contracts.errors import BundleError, GateError, LookalikeError
from src.contracts.preprocessing import preprocess
from src.contracts.settings import GateSettings, IndexSettings
from src.contracts.tables import ITEMS
from src.export import encoder_files
from src.export.builder import build_bundle
from src.export.runtime import OnnxEncoder, RuntimeAbsentError
from src.export.runtime.neighbours import read_neighbours
from src.export.verify import verify
from src.index.faiss_index import FaissIndex
from src.models.inference import embedder
from src.search import Searcher
from src.search.checks import check_finds

CARD = {"format": 1, "name": "test", "data": {"root": "shop"}, "nothing": None}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, data_settings, folder_catalogue) -> Catalogue:
    root = folder_catalogue(tmp_path_factory.mktemp("builder") / "shop", items=12, images=3)
    return open_catalogue(data_settings(root=str(root)))


@pytest.fixture(scope="module")
def exported() -> dict[tuple[bytes, str], bytes]:
    """Graphs by weights and precision."""
    return {}


@pytest.fixture(autouse=True)
def export_once(request: pytest.FixtureRequest, exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a graph that was exported before, but where exports are compared: torch takes two seconds for each."""
    if "same" in request.node.name:
        return
    export = encoder_files.export_onnx

    def remembered(encoder, spec, path: Path, *, precision: str) -> None:
        weights = hashlib.sha256()
        for name, value in encoder.state_dict().items():
            weights.update(name.encode() + value.numpy().tobytes())
        key = weights.digest(), precision
        if key not in exported:
            export(encoder, spec, path, precision=precision)
            exported[key] = path.read_bytes()
        path.write_bytes(exported[key])

    monkeypatch.setattr(encoder_files, "export_onnx", remembered)


def build(output: Path, catalogue: Catalogue, encoder, spec, **changes: object) -> Bundle:
    arguments: dict = {
        "encoder": encoder,
        "spec": spec,
        "card": CARD,
        "catalogue": catalogue,
        "index": IndexSettings(),
        "evaluation": {"recall@1": 0.5},
        "precision": "fp32",
        "index_precision": "",
        "engines": (),
        "engine_batch": 4,
        "gates": GateSettings(),
        "parity_images": 8,
        "overlap_images": 30,
        "calibration_images": 8,
        "thumbnail": 24,
        "batch": 7,
    }
    return build_bundle(output, **{**arguments, **changes})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue, encoder, spec) -> Bundle:
    return build(tmp_path_factory.mktemp("built") / "bundle", catalogue, encoder, spec)


def test_a_bundle_is_what_serving_needs(bundle: Bundle, spec) -> None:
    files = {path.name for path in bundle.root.iterdir()}
    assert files == {
        MANIFEST,
        DRIFT_REFERENCE,
        ENCODER,
        GOLDEN,
        INDEX,
        ITEMS_ARROW,
        ITEMS_TABLE,
        NEIGHBOURS,
        THUMBNAILS,
        TRENDING,
        VECTOR_HASHES,
        WORDS,
    }
    assert bundle.preprocessing == spec
    content = bundle.content
    assert content["dim"] == 8
    assert content["metric"] == "cosine"
    assert content["config"] == CARD
    assert content["catalogue"] == {"name": "test", "images": 36, "items": 12}
    assert content["index"] == {
        "layout": "exact", "m": 32, "ef_construction": 200, "nlist": None, "search": {}, "vectors": 36
    }  # fmt: skip
    assert content["gates"]["min_overlap"] == GateSettings().min_overlap
    measured = bundle.measured
    assert measured["evaluation"] == {"recall@1": 0.5}
    assert measured["parity"]["fp32"]["images"] == 8
    assert measured["index"]["recall_at_10"] == 1
    assert measured["index"]["bytes_per_vector"] == (bundle.root / INDEX).stat().st_size / 36
    assert {"python", "git_commit", "torch", "numpy"} <= set(measured["versions"])


def test_row_i_is_the_same_image_in_the_index_the_items_and_the_thumbnails(
    bundle: Bundle, catalogue: Catalogue
) -> None:
    items = pq.read_table(bundle.path(ITEMS_TABLE))
    assert items.column_names[: len(ITEMS)] == ITEMS.names
    assert not {"split", "is_query", "is_gallery", "mask"} & set(items.column_names)
    with pa.memory_map(str(bundle.path(THUMBNAILS))) as source:
        thumbnails = pa.ipc.open_file(source).read_all()
        assert thumbnails["image_id"].to_pylist() == items["image_id"].to_pylist()
    index, encoder = FaissIndex.load(bundle.path(INDEX)), OnnxEncoder(bundle.path(ENCODER))
    stored = index.vectors(np.arange(len(index)))
    for row, image in enumerate(items["image"].to_pylist()):
        pixels = preprocess((catalogue.root / image).read_bytes(), bundle.preprocessing)
        np.testing.assert_allclose(stored[row], encoder.embed(pixels[None])[0], atol=1e-5)


def test_a_bundle_that_was_built_is_searched(bundle: Bundle, catalogue: Catalogue) -> None:
    searcher = Searcher.open(bundle.root, threads=1)
    for row in (0, 17, 35):
        best = searcher.search(catalogue.root / catalogue.items["image"][row].as_py(), k=1)[0]
        assert best.row["item_id"] == catalogue.items["item_id"][row].as_py()
    assert "find their own item" in check_finds(searcher)


def test_the_same_inputs_give_the_same_bundle(
    bundle: Bundle, catalogue: Catalogue, encoder, spec, tmp_path: Path
) -> None:
    again = build(tmp_path / "bundle", catalogue, encoder, spec, evaluation={"recall@1": 0.7})
    assert again.bundle_id == bundle.bundle_id
    for name in bundle.content["files"]:
        assert (again.root / name).read_bytes() == (bundle.root / name).read_bytes(), name
    ours, theirs = (json.loads((b.root / MANIFEST).read_text()) for b in (bundle, again))
    assert ours["content"] == theirs["content"]
    assert theirs["measured"]["evaluation"] == {"recall@1": 0.7}


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "index_precision"), [("fp16", ""), ("int8", "fp32")])
def test_a_lower_precision_is_measured_and_comes_out_the_same(
    catalogue: Catalogue, encoder, spec, tmp_path: Path, precision: str, index_precision: str
) -> None:
    # The network is too small for INT8: what is looked at is that it is measured, and the same twice.
    gates = GateSettings(int8_centred_cosine=-1, min_overlap=0.1, batch_distance=0.01)
    options = {"precision": precision, "index_precision": index_precision, "gates": gates}
    one, two = (build(tmp_path / name, catalogue, encoder, spec, **options) for name in ("one", "two"))
    for name in one.content["files"]:
        assert (one.root / name).read_bytes() == (two.root / name).read_bytes(), name
    assert one.bundle_id == two.bundle_id
    assert one.content["precision"] == precision
    assert one.content["index_precision"] == (index_precision or precision)
    parity = one.measured["parity"]
    assert set(parity) == {precision, index_precision or precision, "overlap"}
    assert parity[precision]["max_abs"] > 1e-5
    assert 0.1 <= parity["overlap"]["recall_overlap_at_10"] <= 1
    assert list(verify(one.root))
    neighbours = read_neighbours(one.path(NEIGHBOURS))
    embed = OnnxEncoder(one.path(ENCODER), threads=1).embed
    assert neighbours.overlap(embed) == pytest.approx(parity["overlap"]["recall_overlap_at_10"], abs=0.2)
    exact = embedder(encoder)(neighbours.queries)
    stored = neighbours.gallery if index_precision == "fp32" else None
    if stored is not None:
        np.testing.assert_allclose(neighbours.cosines, exact @ stored.T, atol=1e-5)
    else:
        assert np.abs(neighbours.cosines - exact @ neighbours.gallery.T).max() > 1e-5


def test_a_gate_that_is_missed_leaves_nothing(catalogue: Catalogue, encoder, spec, tmp_path: Path) -> None:
    never = GateSettings(fp16_centred_cosine=2)
    with pytest.raises(GateError, match=r"exported fp16 encoder .*set `precision=fp32`"):
        build(tmp_path / "bundle", catalogue, encoder, spec, precision="fp16", gates=never)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_is_built_into_the_bundle(catalogue: Catalogue, encoder, spec, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    bundle = build(tmp_path / "bundle", catalogue, encoder, spec, engines=["rtx-sm89"])
    (name,) = bundle.measured["engines"]
    assert name.startswith("encoder.sm89.rtx")
    assert bundle.content["files"][name]["bytes"] == bundle.measured["engines"][name]["bytes"]
    if bundle.measured["engines"][name]["parity"] is None:
        assert "CUDA" in bundle.measured["engines"][name]["not_measured"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_one_flipped_bit_in_any_file_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    copied = tmp_path / "bundle"
    shutil.copytree(bundle.root, copied)
    for path in sorted(copied.iterdir()):
        data = path.read_bytes()
        for at in np.linspace(0, len(data) - 1, 7).astype(int):
            changed = bytearray(data)
            changed[at] ^= 1 << int(at) % 8
            path.write_bytes(changed)
            with pytest.raises(BundleError, match=path.name):
                open_bundle(copied)
        path.write_bytes(data)
    assert open_bundle(copied).bundle_id == bundle.bundle_id


def test_other_weights_and_other_settings_are_another_bundle(
    bundle: Bundle, catalogue: Catalogue, encoder, spec, tmp_path: Path
) -> None:
    changed = copy.deepcopy(encoder)
    with torch.no_grad():
        changed.head[2].bias += 0.01
    other = build(tmp_path / "weights", catalogue, changed, spec)
    hnsw = build(tmp_path / "hnsw", catalogue, encoder, spec, index=IndexSettings(layout="hnsw_fp16", min_recall=0.5))
    assert len({bundle.bundle_id, other.bundle_id, hnsw.bundle_id}) == 3
    assert other.content["encoder_id"] != bundle.content["encoder_id"] == hnsw.content["encoder_id"]
    assert FaissIndex.load(hnsw.path(INDEX)).layout == hnsw.content["index"]["layout"] == "hnsw_fp16"


def test_an_export_that_differs_from_torch_is_not_written(
    catalogue: Catalogue, encoder, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_other(exported, spec, path: Path, *, precision: str) -> None:
        changed = copy.deepcopy(exported)
        with torch.no_grad():
            changed.head[2].weight *= 1.01 + 0.1 * torch.arange(8)[:, None]
        original(changed, spec, path, precision=precision)

    original = encoder_files.export_onnx
    monkeypatch.setattr(encoder_files, "export_onnx", export_other)
    with pytest.raises(GateError, match=r"differs from torch on 8 images: .*max_abs is .* \(off by"):
        build(tmp_path / "bundle", catalogue, encoder, spec)
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_finds_too_little_leaves_the_older_bundle(
    data_settings, folder_catalogue, encoder, spec, tmp_path: Path
) -> None:
    root = folder_catalogue(tmp_path / "shop", items=60, images=4, side=8)
    catalogue = open_catalogue(data_settings(root=str(root)))
    older = build(tmp_path / "bundle", catalogue, encoder, spec)
    crippled = IndexSettings(layout="hnsw_fp16", m=2, ef_construction=1, ef_search=1, min_recall=0.999)
    with pytest.raises(GateError, match=r"recall@10 is 0\.\d+ on 240 held-out queries, `index\.min_recall=0\.999`"):
        build(tmp_path / "bundle", catalogue, encoder, spec, index=crippled)
    assert open_bundle(tmp_path / "bundle").bundle_id == older.bundle_id


def manifest_catalogue(root: Path, data_settings, roles: list[tuple[int, int]]) -> Catalogue:
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = [f"{name.split('/')[0]},{name},val,{q},{g},x" for name, (q, g) in zip(names, roles, strict=True)]
    (root / "list.csv").write_text("\n".join(["item_id,image,split,is_query,is_gallery,season", *lines]))
    settings = data_settings(reader="manifest", root=str(root), manifest="list.csv", split_by="given")
    return open_catalogue(settings)


def test_only_the_gallery_is_indexed_and_the_queries_measure_it(
    data_settings, folder_catalogue, encoder, spec, tmp_path: Path
) -> None:
    root = folder_catalogue(tmp_path / "shop", items=5, images=4)
    catalogue = manifest_catalogue(root, data_settings, [(1, 0), (0, 1), (0, 1), (0, 0)] * 5)
    bundle = build(tmp_path / "bundle", catalogue, encoder, spec)
    items = pq.read_table(bundle.path(ITEMS_TABLE))
    assert items["image"].to_pylist() == [f"item-{n:03d}/{i}.png" for n in range(5) for i in (1, 2)]
    assert items["season"].to_pylist() == ["x"] * 10
    assert bundle.measured["index"]["queries"] == 5


def test_a_catalogue_without_a_gallery_is_refused(
    data_settings, folder_catalogue, encoder, spec, tmp_path: Path
) -> None:
    root = folder_catalogue(tmp_path / "shop", items=2, images=1)
    catalogue = manifest_catalogue(root, data_settings, [(1, 0)] * 2)
    with pytest.raises(LookalikeError, match="has no gallery image: there is nothing to search in"):
        build(tmp_path / "bundle", catalogue, encoder, spec)


def test_one_image_makes_a_bundle(data_settings, folder_catalogue, encoder, spec, tmp_path: Path) -> None:
    root = folder_catalogue(tmp_path / "shop", items=1, images=1)
    bundle = build(tmp_path / "bundle", open_catalogue(data_settings(root=str(root))), encoder, spec)
    assert bundle.content["catalogue"] == {"name": "test", "images": 1, "items": 1}
    assert NEIGHBOURS not in bundle.content["files"]


def test_a_gate_that_could_not_fail_is_not_taken_for_passed(
    data_settings, folder_catalogue, spec, tmp_path: Path
) -> None:
    catalogue = open_catalogue(data_settings(root=str(folder_catalogue(tmp_path / "shop", items=1, images=1))))
    with pytest.raises(LookalikeError, match=r"gallery has 1 images; 20 are the least, set `precision=fp32`"):
        # No encoder is needed to find this out.
        build(tmp_path / "bundle", catalogue, None, spec, precision="fp16")


def test_an_engine_for_the_gpu_that_is_here_has_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path, target: str) -> None:
        raise RuntimeAbsentError(f"{path.name} does not deserialise")

    monkeypatch.setattr(encoder_files, "load_engine", absent)
    arguments = (None, None, GateSettings())
    elsewhere = encoder_files._engine_parity(Path("a.plan"), "rtx-sm89", *arguments)
    assert elsewhere == {"parity": None, "not_measured": "a.plan does not deserialise"}
    with pytest.raises(RuntimeAbsentError, match="does not deserialise"):
        encoder_files._engine_parity(Path("a.plan"), "tensorrt", *arguments)


def test_a_foreign_folder_is_refused_before_any_work(catalogue: Catalogue, spec, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="is no bundle"):
        # No encoder is needed to find this out.
        build(tmp_path, catalogue, None, spec)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
