"""A bundle is checked from its hashes to a search, and what is wrong is said."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from src.contracts.bundle import GOLDEN, INDEX, ITEMS_TABLE, MANIFEST, WORDS
from src.contracts.errors import BundleError
from src.contracts.preprocessing import PreprocessingSpec
from src.export.runtime.golden import read_golden
from src.export.sign import sign
from src.export.verify import main, verify
from tests.search.small_bundle import SPEC, altered, catalogue, write_bundle
from tests.signing_keys import PRIVATE, PUBLIC, write_keys


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("verify") / "bundle", catalogue(12)).root


def test_a_good_bundle_is_explained_line_by_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(root)])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok  ") for line in lines)
    starts = [
        "manifest",
        "files",
        "preprocessing",
        "golden images",
        "encoder",
        "items",
        "items as served",
        "words",
        "index",
    ]
    assert [line[4:].split(":")[0] for line in lines] == starts
    assert "searched and found themselves" in lines[-1]


def test_damage_exits_with_2_and_one_message(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = altered(root, tmp_path / "b", "")
    raw = (copied / MANIFEST).read_bytes()
    (copied / MANIFEST).write_bytes(raw.replace(b"1e-07", b"1e-08"))
    with pytest.raises(SystemExit) as caught:
        main([str(copied)])
    assert caught.value.code == 2
    assert "manifest.json was altered" in capsys.readouterr().err


def test_a_signature_is_checked_where_a_key_is_given(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied, keys = altered(root, tmp_path / "b", ""), write_keys(tmp_path / "keys")
    with pytest.raises(SystemExit) as caught:
        main([str(copied), "--public-key", str(keys / PUBLIC)])
    assert caught.value.code == 2
    assert "is not signed" in capsys.readouterr().err
    sign(copied, keys / PRIVATE)
    main([str(copied), "--public-key", str(keys / PUBLIC)])
    assert f"ok  signature: of the manifest, made with the key of {keys / PUBLIC}\n" in capsys.readouterr().out


def test_an_index_of_another_catalogue_is_found(root: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", catalogue(5)).root
    mixed = altered(root, tmp_path / "b", INDEX, (other / INDEX).read_bytes())
    with pytest.raises(BundleError, match=r"index\.faiss has 9 vectors of 48 numbers for 24 images"):
        list(verify(mixed))


def test_a_vector_that_does_not_find_itself_is_found(root: Path, tmp_path: Path) -> None:
    index = faiss.IndexFlatIP(48)
    index.add(np.full((24, 48), 0.01, np.float32))
    faiss.write_index(index, str(tmp_path / "index"))
    mixed = altered(root, tmp_path / "b", INDEX, (tmp_path / "index").read_bytes())
    with pytest.raises(BundleError, match="finds nothing nearer to itself than"):
        list(verify(mixed))


def test_pictures_of_other_items_are_found_with_everything_else(root: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", catalogue(12, seed=8)).root
    mixed = altered(root, tmp_path / "b", ITEMS_TABLE, (other / ITEMS_TABLE).read_bytes(), dim=47)
    with pytest.raises(BundleError) as caught:
        list(verify(mixed))
    message = str(caught.value)
    assert "4 of its parts are wrong" in message
    assert "items.arrow differs from items.parquet in image_id" in message
    assert "encoder.onnx gives 48 numbers, the manifest says 47" in message
    assert "do not hold the same images in the same order" in message


def test_items_and_words_of_another_catalogue_are_found(root: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", catalogue(13)).root
    mixed = altered(root, tmp_path / "b", WORDS, (other / WORDS).read_bytes())
    with pytest.raises(BundleError, match=r"words\.sqlite has the words of 13 items, items\.arrow has 12 items"):
        list(verify(mixed))
    rows = catalogue(12)
    for row in rows:
        row["title"] = row["title"][::-1]
    other = write_bundle(tmp_path / "reversed", rows).root
    mixed = altered(root, tmp_path / "c", WORDS, (other / WORDS).read_bytes())
    with pytest.raises(BundleError, match=r"words\.sqlite: item 'sku/000 ö' is not found by its own words"):
        list(verify(mixed))


def test_other_preprocessing_shows_in_the_golden_pixels(root: Path, tmp_path: Path) -> None:
    spec = PreprocessingSpec(size=SPEC.size, interpolation="bilinear").to_dict()
    assert spec != SPEC.to_dict()
    mixed = altered(root, tmp_path / "b", "", preprocessing=spec)
    with pytest.raises(BundleError, match="golden image 0: its pixels hash to"):
        list(verify(mixed))


def test_an_encoder_that_computes_something_else_is_found(root: Path, tmp_path: Path) -> None:
    golden = read_golden(root / GOLDEN)
    with np.load(root / GOLDEN) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(tmp_path / "golden.npz", **arrays | {"embeddings": np.roll(golden.embeddings, 1, axis=0)})
    mixed = altered(root, tmp_path / "b", GOLDEN, (tmp_path / "golden.npz").read_bytes())
    with pytest.raises(BundleError, match="embeds the golden images with a centred cosine of"):
        list(verify(mixed))
