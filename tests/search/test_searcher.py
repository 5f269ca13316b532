"""A bundle opened and searched as a researcher does it."""

import dataclasses
import doctest
import logging
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from src.contracts.bundle import ENCODER, INDEX, open_bundle
from src.contracts.errors import BundleError, FilterError, LookalikeError
from src.contracts.preprocessing import ImageError, PreprocessingSpec, decode, preprocess
from src.export.sign import sign
from src.index.filters import Between
from src.search import Box, Searcher, UnknownItemError
from src.search import searcher as module
from tests.search.small_bundle import DIM, SPEC, Shop, altered, catalogue, damage, jpeg, write_bundle, write_encoder
from tests.signing_keys import PRIVATE, PUBLIC, write_keys


def test_a_searcher_says_what_it_is(searcher: Searcher, shop: Shop) -> None:
    assert (searcher.size, searcher.dim) == (32, DIM)
    assert searcher.bundle.bundle_id == open_bundle(shop.root).bundle_id
    assert len(searcher.gallery) == len(shop.pictures)
    assert searcher.runtime == searcher.encoder.description
    assert re.search(r"OpenVINO|ONNX Runtime", searcher.runtime)


def test_all_kinds_of_pictures_embed_alike(searcher: Searcher, shop: Shop, tmp_path: Path) -> None:
    data = shop.pictures[4]
    (tmp_path / "photo.jpg").write_bytes(data)
    path = tmp_path / "photo.jpg"
    vectors = searcher.embed([data, path, str(path), decode(data)])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, np.tile(shop.vectors[4], (4, 1)), atol=1e-5)
    np.testing.assert_array_equal(searcher.pixels(data), preprocess(data, SPEC))
    many = searcher.embed(shop.pictures)
    np.testing.assert_allclose(many, shop.vectors, atol=1e-5)
    assert searcher.embed([]).shape == (0, DIM)
    for query in (data, path, str(path), decode(data), shop.vectors[4], shop.vectors[4].astype(np.float64)):
        best = searcher.search(query, k=1)[0]
        assert best.row["item_id"] == shop.rows()[4]["item_id"]
        assert best.score == pytest.approx(1, abs=1e-5)


def test_a_search_is_the_gallery_s_with_the_picture_s_embedding(searcher: Searcher, shop: Shop) -> None:
    filters = [Between("price", None, 100.0)]
    options = {"filters": filters, "dedupe": "parent", "offset": 2}
    expected = searcher.gallery.search(searcher.embed([shop.pictures[9]])[0], 5, **options)
    assert searcher.search(shop.pictures[9], 5, **options) == expected
    assert len(searcher.search(shop.pictures[9])) == 10
    assert searcher.similar("sku/003 ö", 5, **options) == searcher.gallery.similar("sku/003 ö", 5, **options)


def test_a_box_searches_with_a_part_of_the_picture(searcher: Searcher, shop: Shop) -> None:
    one, other = decode(shop.pictures[2]), decode(shop.pictures[30])
    both = np.hstack([one, other])
    assert searcher.search(both, 1, box=Box.parse("0,0,0.5,1"))[0].row["item_id"] == shop.rows()[2]["item_id"]
    assert searcher.search(both, 1, box=Box.parse("0.5,0,0.5,1"))[0].row["item_id"] == shop.rows()[30]["item_id"]


def test_rows_are_described_with_all_columns(searcher: Searcher, shop: Shop) -> None:
    found = searcher.describe([1])[0]
    assert {*found} == {*shop.table.column_names}
    assert (found["title"], found["listed_at"]) == (shop.rows()[1]["title"], shop.rows()[1]["listed_at"])


def test_what_cannot_be_searched_with_is_refused(searcher: Searcher, shop: Shop, tmp_path: Path) -> None:
    vector = shop.vectors[0]
    for query in (vector[:5], vector[None], vector.astype(np.int64), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(LookalikeError, match=r"give a picture \(.* or an embedding \(float32 of shape \(48,\)"):
            searcher.search(query)
    for picture in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(LookalikeError, match=r"the picture is uint8 of shape .*; give uint8 of shape \(height"):
            searcher.search(picture)
    with pytest.raises(LookalikeError, match=r"`box=0,0,0.5,0.5`: an embedding has no parts; give the picture"):
        searcher.search(vector, box=Box.parse("0,0,0.5,0.5"))
    with pytest.raises(ImageError):
        searcher.search(b"no image")
    with pytest.raises(FileNotFoundError):
        searcher.search(tmp_path / "nothing.jpg")
    with pytest.raises(FilterError):
        searcher.search(vector, filters=[Between("colour", 1, 2)])
    with pytest.raises(UnknownItemError):
        searcher.similar("nobody")


def test_threads_search_at_once(searcher: Searcher, shop: Shop) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: searcher.search(data, 1)[0].row["item_id"], shop.pictures))
    assert found == [row["item_id"] for row in shop.rows()]


def test_an_empty_bundle_finds_nothing(tmp_path: Path, shop: Shop) -> None:
    empty = Searcher.open(str(write_bundle(tmp_path / "empty", []).root), threads=1)
    assert empty.search(shop.pictures[0]) == []


def test_a_bundle_that_is_damaged_or_none_is_refused(tmp_path: Path, shop: Shop) -> None:
    with pytest.raises(BundleError, match="make one with export"):
        Searcher.open(tmp_path)
    copied = shutil.copytree(shop.root, tmp_path / "copied")
    damage(copied, INDEX)
    with pytest.raises(BundleError, match=r"index\.faiss has hash"):
        Searcher.open(copied)


def test_parts_that_do_not_belong_together_are_named(tmp_path: Path, shop: Shop) -> None:
    with pytest.raises(BundleError, match="encoder, index and manifest have dims 48, 48, 47"):
        Searcher.open(altered(shop.root, tmp_path / "dim", "", dim=47), threads=1)
    spec = PreprocessingSpec(size=64)
    write_encoder(tmp_path / "encoder.onnx", spec=spec)
    larger = altered(shop.root, tmp_path / "size", ENCODER, (tmp_path / "encoder.onnx").read_bytes())
    with pytest.raises(BundleError, match="the encoder takes 64 pixels, its preprocessing makes 32"):
        Searcher.open(larger, threads=1)


def test_a_bundle_that_is_replaced_while_it_is_opened_is_refused(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(shop.root, tmp_path / "bundle")
    other = write_bundle(tmp_path / "other", catalogue(12)).root
    real = module.open_encoder

    def slow(*arguments, **options):
        encoder = real(*arguments, **options)
        os.rename(root, tmp_path / "old")
        os.rename(other, root)
        return encoder

    monkeypatch.setattr(module, "open_encoder", slow)
    with pytest.raises(BundleError, match="another took its place while it was being opened"):
        Searcher.open(root, threads=1)


def test_a_signature_is_checked_where_a_key_is_given(tmp_path: Path, shop: Shop) -> None:
    root, keys = shutil.copytree(shop.root, tmp_path / "bundle"), write_keys(tmp_path / "keys")
    with pytest.raises(BundleError, match="is not signed"):
        Searcher.open(root, public_key=keys / PUBLIC)
    sign(root, keys / PRIVATE)
    assert Searcher.open(root, public_key=keys / PUBLIC, threads=1).dim == DIM


def test_the_runtime_may_be_chosen(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert "ONNX Runtime" in Searcher.open(shop.root, runtime="onnxruntime", threads=1).runtime
    with pytest.raises(LookalikeError, match="`runtime=none`: must be auto or one of"):
        Searcher.open(shop.root, runtime="none")
    with pytest.raises(LookalikeError, match="`precision=bf16`: only OpenVINO has it"):
        Searcher.open(shop.root, runtime="onnxruntime", precision="bf16")


def test_the_examples_in_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = catalogue(12)
    for row in rows:
        row["item_id"] = f"sku-{int(row['item_id'][4:7])}"
    shop = write_bundle(tmp_path / "outputs" / "bundle", rows)
    first = next(place for place, row in enumerate(shop.rows()) if row["item_id"] == "sku-0")
    (tmp_path / "photo.jpg").write_bytes(shop.pictures[first])
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert (failed, tried > 8) == (0, True)


def test_pixels_of_a_large_jpeg_are_decoded_at_the_scale_of_the_spec(searcher, monkeypatch):
    """As the catalogue's were, and within the memory that the header announces."""
    spec = dataclasses.replace(SPEC, decoding="reduced")
    data = jpeg(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8))
    monkeypatch.setattr(searcher, "_spec", spec)
    box = Box(x=0.25, y=0.5, width=0.5, height=0.25)
    np.testing.assert_array_equal(searcher.pixels(data), preprocess(data, spec))
    np.testing.assert_array_equal(searcher.pixels(data, box), preprocess(data, spec, box=(0.25, 0.5, 0.5, 0.25)))
    assert (searcher.pixels(data) != preprocess(data, dataclasses.replace(SPEC, decoding="full"))).any()
