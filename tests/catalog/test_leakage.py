"""Copies on both sides of a split are found, listed and removed, and look-alikes that are none are left alone."""

import logging
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from src.catalog.catalogue import Catalogue, open_catalogue
from src.catalog.duplicates.fingerprint import FINGERPRINT, MAX_BITS, MAX_COLOURS
from src.catalog.duplicates.fingerprints import fingerprints
from src.catalog.duplicates.nearest import nearest_duplicates
from src.catalog.leakage import check_leakage, find_leaks, without
from src.contracts.errors import CatalogueError
from src.contracts.tables import validate_items
from tests.pictures import encode, smooth_picture


def copies(image: Image.Image) -> dict[str, bytes]:
    """What happens to a picture on its way through a shop's systems."""
    return {
        "encoded anew": encode(image, "JPEG", quality=50),
        "as PNG": encode(image, "PNG"),
        "smaller": encode(image.resize((image.width * 3 // 5, image.height * 3 // 5)), "JPEG", quality=85),
        "larger": encode(image.resize((image.width * 2, image.height * 2)), "JPEG", quality=85),
        "brighter": encode(ImageEnhance.Brightness(image).enhance(1.1), "JPEG", quality=90),
        "darker": encode(ImageEnhance.Brightness(image).enhance(0.85), "JPEG", quality=90),
    }


def others(image: Image.Image) -> dict[str, bytes]:
    """What a shop has beside it, and must not be taken for it."""
    luma, blue, red = image.convert("YCbCr").split()
    return {
        # The same to an eye, or a hash, that sees grey only.
        "colour variant": encode(Image.merge("YCbCr", (luma, red, blue)).convert("RGB"), "JPEG", quality=90),
        "mirrored": encode(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "JPEG", quality=90),
        "half of it": encode(image.crop((0, 0, image.width // 2, image.height)), "JPEG", quality=90),
    }


def picture(seed: int) -> Image.Image:
    return Image.fromarray(smooth_picture(120, 150, seed=seed))


def write(root: Path, rows: list[tuple[str, str, bytes]]) -> Catalogue:
    """A catalogue of (image, split, file)."""
    for name, _, data in rows:
        (root / name).write_bytes(data)
    names = [name for name, _, _ in rows]
    table = pa.table(
        {
            "image_id": names,
            "item_id": [f"item of {name}" for name in names],
            "image": names,
            "split": [split for _, split, _ in rows],
            "is_query": [True] * len(rows),
            "is_gallery": [True] * len(rows),
        }
    )
    return Catalogue(validate_items(table), root)


@pytest.fixture
def planted(tmp_path: Path) -> Catalogue:
    """Sixty pictures on each side, and on the training side copies and look-alikes of the first twelve of the other."""
    rows = [(f"t{n}.jpg", "train", encode(picture(n), "JPEG", quality=92)) for n in range(60)]
    rows += [
        (f"v{n}.jpg", ("val", "test", "held_out")[n % 3], encode(picture(100 + n), "JPEG", quality=92))
        for n in range(60)
    ]
    rows += [(f"same {n}.jpg", "train", encode(picture(100 + n), "JPEG", quality=92)) for n in range(2)]
    for n in range(2, 12):
        rows += [(f"{kind} {n}", "train", data) for kind, data in copies(picture(100 + n)).items()]
        rows += [(f"{kind} {n}", "train", data) for kind, data in others(picture(100 + n)).items()]
    rows.append(("left out.jpg", "none", encode(picture(1), "JPEG", quality=92)))
    rows.append(("everywhere.jpg", "all", encode(picture(159), "JPEG", quality=70)))
    return write(tmp_path, rows)


def test_planted_copies_are_found_and_nothing_else(planted: Catalogue, tmp_path: Path) -> None:
    leaks = find_leaks(planted, tmp_path / "cache").to_pylist()
    kinds = copies(picture(0))
    expected = {"same 0.jpg", "same 1.jpg", "everywhere.jpg"} | {f"{kind} {n}" for kind in kinds for n in range(2, 12)}
    assert {row["image_id"] for row in leaks} == expected
    assert all(
        row["twin_image_id"] == f"v{row['image_id'].split()[-1].split('.')[0]}.jpg"
        for row in leaks
        if " " in row["image_id"]
    )
    assert {row["image_id"] for row in leaks if row["same_file"]} == {"same 0.jpg", "same 1.jpg"}
    differences = [row["difference"] for row in leaks]
    assert differences == sorted(differences)
    assert {row["twin_split"] for row in leaks} == {"val", "test", "held_out"}


def test_removal_leaves_no_leak_and_touches_nothing_else(planted: Catalogue, tmp_path: Path) -> None:
    leaks = find_leaks(planted, tmp_path / "cache")
    clean = without(planted, leaks)
    assert not find_leaks(clean, tmp_path / "cache").num_rows
    before, after = planted.items["split"].to_pylist(), clean.items["split"].to_pylist()
    changed = {row for row, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}
    assert changed == set(leaks["row"].to_pylist())
    # An image of all splits stays in the gallery.
    assert after[-1] == "held_out"
    assert {after[row] for row in changed} == {"none", "held_out"}
    assert clean.items.drop_columns("split").equals(planted.items.drop_columns("split"))


def test_the_check_does_what_it_is_told(planted: Catalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table, cache = tmp_path / "run" / "leakage.csv", tmp_path / "cache"
    assert check_leakage(planted, leakage="off", cache=cache, table=table) is planted
    assert not cache.exists()
    with caplog.at_level(logging.WARNING):
        assert check_leakage(planted, leakage="report", cache=cache, table=table) is planted
    assert "63 training images are, or look like, images of validation or test (2 are the same file)" in caplog.text
    assert "data.leakage=remove" in caplog.text
    assert len(table.read_text().splitlines()) == 64
    clean = check_leakage(planted, leakage="remove", cache=cache, table=table)
    assert len(clean.train_rows()) == len(planted.train_rows()) - 63
    caplog.clear()
    table.unlink()
    assert check_leakage(clean, leakage="report", cache=cache, table=table) is clean
    assert not table.exists()
    assert not caplog.text


def test_unchanged_files_are_not_read_again_and_changed_ones_are(planted: Catalogue, tmp_path: Path) -> None:
    rows, cache = np.arange(20), tmp_path / "cache"
    first = fingerprints(planted, rows, cache)
    path = planted.root / "t3.jpg"
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    np.testing.assert_array_equal(fingerprints(planted, rows[::-1], cache), first[::-1])
    path.write_bytes(encode(picture(999), "JPEG"))
    again = fingerprints(planted, rows, cache)
    assert (again != first).nonzero()[0].tolist() == [3]
    assert len(list(cache.iterdir())) == 1


def test_all_files_that_are_no_images_are_listed(planted: Catalogue, tmp_path: Path) -> None:
    for row in (3, 17):
        (planted.root / f"t{row}.jpg").write_bytes(b"text")
    with pytest.raises(CatalogueError) as caught:
        find_leaks(planted, tmp_path / "cache")
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        ["row 4", "t3.jpg"],
        ["row 18", "t17.jpg"],
    ]


def chroma(colours: np.ndarray) -> np.ndarray:
    pixels = colours.astype(float)
    luma = pixels @ [0.299, 0.587, 0.114]
    return (pixels[..., [0, 2]] - luma[..., None]) / max(15, luma.std())


def nearest_by_hand(images: np.ndarray, others: np.ndarray) -> list[tuple[int, float]]:
    answers = []
    for one in images:
        best = (-1, np.inf)
        for number, other in enumerate(others):
            if one["file"] == other["file"]:
                best = (number, 0.0)
                break
            apart = np.abs(chroma(one["colours"]) - chroma(other["colours"])).mean()
            bits = np.unpackbits(one["bits"] ^ other["bits"]).sum()
            if bits <= MAX_BITS and apart <= MAX_COLOURS and apart < best[1] - 1e-6:
                best = (number, apart)
        answers.append(best)
    return answers


@given(seed=st.integers(0, 10_000), count=st.integers(0, 12), other=st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_nearest_duplicates_are_those_found_by_hand(seed: int, count: int, other: int) -> None:
    rng = np.random.default_rng(seed)
    # Few files, bits close to a handful of patterns, colours from black to white.
    patterns, shades = rng.integers(0, 256, (3, 32), np.uint8), rng.integers(0, 256, (3, 8, 8, 3), np.uint8)
    shades[0] = 0

    def draw(number: int) -> np.ndarray:
        prints = np.zeros(number, FINGERPRINT)
        prints["file"] = [f"f{name}" for name in rng.integers(0, 60, number)]
        flips = np.packbits(rng.random((number, 256)) < 0.06, axis=1)
        prints["bits"] = patterns[rng.integers(0, 3, number)] ^ flips
        noise = rng.integers(0, 12, (number, 8, 8, 3))
        prints["colours"] = np.clip(shades[rng.integers(0, 3, number)] + noise, 0, 255)
        return prints

    images, found = draw(count), draw(other)
    numbers, differences = nearest_duplicates(images, found)
    expected = nearest_by_hand(images, found)
    assert [number >= 0 for number in numbers] == [number >= 0 for number, _ in expected]
    np.testing.assert_allclose(differences, [apart for _, apart in expected], atol=1e-3)


@pytest.mark.real_data
def test_the_grocery_photos_have_no_copies_across_their_own_split(
    data_settings, repository: Path, tmp_path: Path
) -> None:
    root = repository.parent / "shared" / "data" / "grocery_store"
    data = data_settings(
        reader="manifest",
        root=str(root),
        manifest="metadata.csv",
        columns={"item_id": "label", "image": "path"},
        splits={"catalogue": "all"},
        domains={"photo": "user"},
        split_by="given",
    )
    catalogue = open_catalogue(data)
    leaks = find_leaks(catalogue, tmp_path)
    print(f"grocery photos: {leaks.num_rows} of {len(catalogue.train_rows())} training images look like validation's")
    assert leaks.num_rows == 0
