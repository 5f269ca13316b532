"""What changed between two bundles, and nothing else."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.bundle import ITEMS_TABLE, open_bundle, staged_bundle
from src.export.diff import diff, main
from tests.search.small_bundle import catalogue, write_bundle


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("diff") / "bundle", catalogue(12)).root


def test_a_bundle_does_not_differ_from_itself(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(root), str(root)])
    assert capsys.readouterr().out == "the two bundles are the same\n"


def test_items_added_removed_and_changed_are_named(root: Path, tmp_path: Path) -> None:
    rows = catalogue(12)
    gone, changed = rows.pop(3), rows[5]
    changed["price"] = 123.0
    rows.append({**gone, "image_id": "img/999 ü1.jpg"})
    lines = list(diff(open_bundle(root), open_bundle(write_bundle(tmp_path / "new", rows).root)))
    assert "items: 1 images added: img/999 ü1.jpg" in lines
    assert f"items: 1 images removed: {gone['image_id']}" in lines
    assert f"items: price changed in 1 images: {changed['image_id']}" in lines
    for file in ("items.parquet", "items.arrow", "words.sqlite"):
        assert any(line.startswith(f"file {file}:") for line in lines)
    assert not any(line.startswith(("encoder", "preprocessing", "measured")) for line in lines)


def test_a_number_that_is_none_is_the_same_as_before(root: Path, tmp_path: Path) -> None:
    items = pq.read_table(root / ITEMS_TABLE)
    sharpness = np.full(len(items), np.nan)
    for name in ("old", "new"):
        with staged_bundle(tmp_path / name) as draft:
            pq.write_table(items.append_column("sharpness", pa.array(sharpness)), draft.root / ITEMS_TABLE)
            draft.content |= {k: v for k, v in open_bundle(root).content.items() if k != "files"}
        sharpness[1] = 0.5
    lines = list(diff(open_bundle(tmp_path / "old"), open_bundle(tmp_path / "new")))
    assert f"items: sharpness changed in 1 images: {items['image_id'][1]}" in lines


def test_weights_settings_and_figures_are_named(root: Path, tmp_path: Path) -> None:
    bundle = open_bundle(root)
    with staged_bundle(tmp_path / "new") as draft:
        for file in bundle.content["files"]:
            (draft.root / file).write_bytes(bundle.path(file).read_bytes())
        draft.content |= {k: v for k, v in bundle.content.items() if k != "files"}
        draft.content |= {"encoder_id": "other", "precision": "fp16"}
        draft.content["index"] = {**bundle.content["index"], "layout": "hnsw_sq8"}
        draft.content["preprocessing"] = {**bundle.content["preprocessing"], "interpolation": "bilinear"}
        draft.measured |= {**bundle.measured, "evaluation": {"recall@1": 0.75}}
    assert list(diff(bundle, open_bundle(tmp_path / "new"))) == [
        "encoder: colour-grid -> other",
        "preprocessing.interpolation: bicubic -> bilinear",
        "index.layout: exact -> hnsw_sq8",
        "precision: absent -> fp16",
        "measured evaluation.recall@1: 0.5 -> 0.75 (+0.25)",
    ]


def test_what_is_no_bundle_exits_with_2(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(root), str(tmp_path)])
    assert caught.value.code == 2
    assert "make one with export.py" in capsys.readouterr().err
