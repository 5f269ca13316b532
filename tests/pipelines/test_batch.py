"""The batch as a whole on a small shop: gate, incremental runs, quarantine, the bundle."""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from src.catalog.catalogue import open_catalogue
from src.contracts.bundle import ITEMS_TABLE, open_bundle
from src.contracts.errors import GateError, LookalikeError
from src.contracts.preprocessing import preprocess
from src.contracts.settings import DataSettings
from src.contracts.tables import unpack_vectors
from src.pipelines.gate import check_counts
from src.search import Searcher
from tests.pipelines.small_run import rows_of, run, write_encoder_bundle
from tests.search.small_bundle import SPEC


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder_bundle(tmp_path_factory.mktemp("encoder") / "bundle")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, data_settings, folder_catalogue) -> DataSettings:
    """10 items, each with two pictures in the gallery and one of a user, which is a query."""
    root = folder_catalogue(tmp_path_factory.mktemp("shop") / "shop", items=10, images=3, side=64)
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    lines = [f"{image.split('/')[0]},{image},{'user' if '/2' in image else 'catalogue'}" for image in images]
    (root / "items.csv").write_text("\n".join(["item_id,image,domain", *lines]))
    return data_settings(reader="manifest", root=str(root), manifest="items.csv")


@pytest.fixture
def folder(tmp_path: Path, folder_catalogue, data_settings) -> DataSettings:
    """12 items of 2 images, of which faults can be made."""
    root = folder_catalogue(tmp_path / "items", items=12, images=2, side=64)
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    (root / "items.csv").write_text(
        "\n".join(["item_id,image", *(f"{image.split('/')[0]},{image}" for image in images)])
    )
    return data_settings(reader="manifest", root=str(root), manifest="items.csv")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, bundle: Path, shop: DataSettings) -> Path:
    output = tmp_path_factory.mktemp("first") / "out"
    run(bundle, output, shop, publish=str(output.parent / "published"))
    return output


def test_each_row_of_the_catalogue_is_somewhere(first: Path, shop: DataSettings) -> None:
    catalogue = open_catalogue(shop)
    gallery = catalogue.gallery_rows(None)
    found = rows_of(first, "embeddings")
    assert [row["image_id"] for row in found] == sorted(catalogue.column("image_id", gallery))
    assert len(rows_of(first, "files")) == len(rows_of(first, "images")) == len(gallery)
    assert not rows_of(first, "quarantine")


def test_what_is_stored_is_what_encoder_and_preprocessing_make(first: Path, bundle: Path, shop: DataSettings) -> None:
    catalogue = open_catalogue(shop)
    stored = {row["image_id"]: row["vector"] for row in rows_of(first, "embeddings")}
    pixels = {row["image_id"]: row["pixels"] for row in rows_of(first, "images")}
    rows = catalogue.gallery_rows(None)[:20]
    made = np.stack([preprocess(catalogue.image_bytes(row), SPEC) for row in rows])
    names = catalogue.column("image_id", rows)
    assert [pixels[name] for name in names] == [image.tobytes() for image in made]
    grid = made.reshape(-1, 4, 8, 4, 8, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(len(rows), -1)
    grid -= grid.mean(axis=1, keepdims=True)
    expected = grid / np.linalg.norm(grid, axis=1, keepdims=True)
    vectors = np.stack([np.frombuffer(stored[name], "<f2") for name in names]).astype(np.float32)
    np.testing.assert_allclose(vectors, expected, atol=1e-3)


def test_the_bundle_finds_each_image_by_itself(first: Path, shop: DataSettings) -> None:
    published = open_bundle(first.parent / "published")
    catalogue = open_catalogue(shop)
    items = pq.read_table(published.path(ITEMS_TABLE))
    rows = catalogue.gallery_rows(None)
    assert items["image_id"].to_pylist() == list(catalogue.column("image_id", rows))
    searcher = Searcher.open(published.root, threads=1)
    row = int(rows[3])
    assert searcher.search(catalogue.image_bytes(row), 3)[0].row["item_id"] == catalogue.items["item_id"][row].as_py()


def test_a_second_run_embeds_nothing_and_reads_nothing(
    first: Path, bundle: Path, shop: DataSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(first, "embeddings"), rows_of(first, "files"), rows_of(first, "images")
    monkeypatch.setattr("src.pipelines.stages.read.read_image", lambda *_: pytest.fail("a file was read"))
    summary = run(bundle, first, shop)
    assert summary.done == {"unchanged": summary.counts["out"]}
    assert (rows_of(first, "embeddings"), rows_of(first, "files"), rows_of(first, "images")) == before


def test_a_changed_price_embeds_nothing_and_a_changed_picture_one(
    tmp_path: Path, bundle: Path, data_settings, folder_catalogue
) -> None:
    root = folder_catalogue(tmp_path / "items", items=6, images=2, side=64)
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))

    def manifest(price: float) -> DataSettings:
        lines = [f"{image.split('/')[0]},{image},{price}" for image in images]
        (root / "items.csv").write_text("\n".join(["item_id,image,price", *lines]))
        return data_settings(reader="manifest", root=str(root), manifest="items.csv", split_by="product")

    published = tmp_path / "published"
    assert run(bundle, tmp_path / "out", manifest(1.5)).done["embedded"] == 12
    again = run(bundle, tmp_path / "out", manifest(2.5), publish=str(published))
    assert again.done == {"unchanged": 12}
    assert set(pq.read_table(published / ITEMS_TABLE)["price"].to_pylist()) == {2.5}

    picture = Image.open(root / images[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture.save(root / images[0])
    os.utime(root / images[1], ns=(1, 1))  # another time, the same content
    third = run(bundle, tmp_path / "out", manifest(2.5))
    assert third.done == {"embedded": 1, "normalised": 1, "touched": 1, "unchanged": 10}
    of_image = [row for row in rows_of(tmp_path / "out", "embeddings") if row["image_id"] == images[0]]
    assert len({row["content_hash"] for row in of_image}) == len(of_image) == 2
    assert run(bundle, tmp_path / "out", manifest(2.5)).done == {"unchanged": 12}


def test_faults_go_to_quarantine_with_a_reason_and_come_back(
    tmp_path: Path, bundle: Path, folder: DataSettings
) -> None:
    root, output = Path(folder.root), tmp_path / "out"
    good = (root / "item-000/0.png").read_bytes()
    (root / "item-000/0.png").write_bytes(good[: len(good) // 2])
    (root / "item-001/0.png").write_bytes(b"no image at all")
    Image.new("RGB", (64, 64), (200, 30, 30)).save(root / "item-002/0.png")
    for item in range(3, 9):  # one picture under six items
        shutil.copy(root / "item-003/1.png", root / f"item-{item:03d}/0.png")
    (root / "item-011/1.png").unlink()
    summary = run(bundle, output, folder)
    assert summary.counts == {
        "out": 13,
        "quarantined:corrupt": 1,
        "quarantined:missing": 1,
        "quarantined:placeholder": 7,
        "quarantined:single_colour": 1,
        "quarantined:unsupported": 1,
    }
    reasons = {row["image_id"]: row["reason"] for row in rows_of(output, "quarantine")}
    assert reasons["item-000/0.png"] == "corrupt"
    page = (output / "runs/000001/summary.html").read_text()
    assert "single_colour" in page
    assert page.count("data:image/jpeg") == 7  # six placeholders, one single colour
    assert run(bundle, output, folder).done == {"unchanged": 24}
    (root / "item-000/0.png").write_bytes(good)
    mended = run(bundle, output, folder)
    assert mended.done["embedded"] == 1
    assert mended.counts["out"] == 14


def test_rules_that_change_judge_again_and_embed_only_what_is_new(
    tmp_path: Path, bundle: Path, folder: DataSettings
) -> None:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(Path(folder.root) / "item-002/0.png")
    assert run(bundle, tmp_path / "out", folder).counts == {"out": 23, "quarantined:single_colour": 1}
    lenient = run(bundle, tmp_path / "out", folder, check_quality=False)
    assert lenient.counts == {"out": 24}
    assert lenient.done["embedded"] == 1


def test_another_encoder_embeds_everything_beside_the_old(tmp_path: Path, bundle: Path, folder: DataSettings) -> None:
    run(bundle, tmp_path / "out", folder)
    other = write_encoder_bundle(tmp_path / "other", encoder_id="other")
    summary = run(other, tmp_path / "out", folder)
    assert summary.done == {"embedded": 24}
    assert {row["encoder_id"] for row in rows_of(tmp_path / "out", "embeddings")} == {"colour-grid", "other"}
    assert run(bundle, tmp_path / "out", folder).done == {"unchanged": 24}


def test_only_the_oldest_of_equal_pictures_is_searchable_where_asked(
    tmp_path: Path, bundle: Path, folder: DataSettings
) -> None:
    root = Path(folder.root)
    shutil.copy(root / "item-003/1.png", root / "item-004/0.png")
    summary = run(bundle, tmp_path / "out", folder, duplicates="keep_oldest", publish=str(tmp_path / "published"))
    assert summary.counts == {"dropped:copy": 1, "out": 23}
    images = pq.read_table(tmp_path / "published" / ITEMS_TABLE)["image_id"].to_pylist()
    assert "item-003/1.png" in images
    assert "item-004/0.png" not in images
    assert run(bundle, tmp_path / "out", folder).counts == {"out": 24}


def test_too_many_in_quarantine_leave_the_old_bundle(tmp_path: Path, bundle: Path, folder: DataSettings) -> None:
    published = tmp_path / "published"
    run(bundle, tmp_path / "out", folder, publish=str(published))
    before = open_bundle(published).bundle_id
    for path in sorted(Path(folder.root).rglob("*.png"))[:6]:
        path.write_bytes(b"broken")
    with pytest.raises(GateError, match=r"6 of 24 rows \(25.0%\) are in quarantine \(unsupported 6\)"):
        run(bundle, tmp_path / "out", folder, publish=str(published), max_quarantined=0.2)
    assert open_bundle(published).bundle_id == before
    assert "in quarantine" in (tmp_path / "out/runs/000002/summary.html").read_text()


def test_a_lost_row_fails_the_gate() -> None:
    check_counts({"out": 8, "quarantined:grey": 1, "dropped:not_gallery": 1}, rows=10, max_quarantined=0.2)
    with pytest.raises(GateError, match="1 are missing"):
        check_counts({"out": 8, "dropped:not_gallery": 1, "lost": 1}, rows=10, max_quarantined=1)
    with pytest.raises(GateError, match="-1 are missing"):
        check_counts({"out": 11}, rows=10, max_quarantined=1)


def test_two_runs_at_once_do_not_mix(tmp_path: Path, bundle: Path, folder: DataSettings, monkeypatch) -> None:
    from src.pipelines.commits import Commits

    commit, met = Commits.commit, []

    def other_first(self, written, lineage) -> None:
        if not met:
            met.append(True)
            run(bundle, tmp_path / "out", folder)
        commit(self, written, lineage)

    monkeypatch.setattr(Commits, "commit", other_first)
    with pytest.raises(LookalikeError, match="another run commits to these tables"):
        run(bundle, tmp_path / "out", folder)
    assert len(rows_of(tmp_path / "out", "embeddings")) == 24
    assert len(rows_of(tmp_path / "out", "files")) == 24


def test_vectors_come_back_in_the_order_of_the_catalogue(first: Path, shop: DataSettings) -> None:
    stored = rows_of(first, "embeddings")
    by_image = {row["image_id"]: row["vector"] for row in stored}
    published = Searcher.open(first.parent / "published", threads=1)
    names = pq.read_table(first.parent / "published" / ITEMS_TABLE)["image_id"].to_pylist()
    expected = unpack_vectors(pa.array([by_image[name] for name in names], pa.binary(96)))
    found = published.gallery.index.vectors(np.arange(len(names)))
    np.testing.assert_allclose(found, expected, atol=1e-3)
