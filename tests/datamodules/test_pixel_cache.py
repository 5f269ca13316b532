"""Pixels on disk are the pixels of the files, as long as the files are those."""

import os
from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import CatalogueError
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.datamodules.pixel_cache import open_pixel_cache
from src.datamodules.pixels import iterate_pixels

SPEC = PreprocessingSpec(size=16)


@pytest.fixture
def catalogue(data_settings, folder_catalogue, tmp_path: Path) -> Catalogue:
    return open_catalogue(data_settings(root=str(folder_catalogue(tmp_path / "shop", items=10, images=15))))


def expected(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec = SPEC) -> np.ndarray:
    return np.stack([preprocess(catalogue.image_bytes(int(row)), spec) for row in rows])


def test_it_holds_what_preprocessing_gives(catalogue: Catalogue, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).permutation(150)
    pixels = open_pixel_cache(catalogue, rows, SPEC, tmp_path / "deep" / "cache")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected(catalogue, rows))
    assert not pixels.flags.writeable
    assert len(list((tmp_path / "deep" / "cache").iterdir())) == 1


def test_the_second_call_reads(catalogue: Catalogue, tmp_path: Path) -> None:
    rows = np.arange(8)
    first = open_pixel_cache(catalogue, rows, SPEC, tmp_path / "cache")
    # With content of the same size and time only a decoder would notice the difference.
    path = catalogue.root / catalogue.items["image"][0].as_py()
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    np.testing.assert_array_equal(open_pixel_cache(catalogue, rows, SPEC, tmp_path / "cache"), first)


def test_a_changed_file_other_rows_and_another_spec_are_another_cache(
    catalogue: Catalogue, tmp_path: Path, encoded, picture
) -> None:
    rows, cache = np.arange(8), tmp_path / "cache"
    open_pixel_cache(catalogue, rows, SPEC, cache)
    (catalogue.root / catalogue.items["image"][3].as_py()).write_bytes(encoded(picture(30, 30, seed=99), "PNG"))
    np.testing.assert_array_equal(open_pixel_cache(catalogue, rows, SPEC, cache), expected(catalogue, rows))
    backwards = open_pixel_cache(catalogue, rows[::-1], SPEC, cache)
    np.testing.assert_array_equal(backwards, expected(catalogue, rows[::-1]))
    other = PreprocessingSpec(size=16, resize="pad")
    np.testing.assert_array_equal(open_pixel_cache(catalogue, rows, other, cache), expected(catalogue, rows, other))
    assert len(list(cache.iterdir())) == 4


def test_all_corrupt_images_are_listed_and_nothing_is_kept(catalogue: Catalogue, tmp_path: Path) -> None:
    for row, data in ((2, b"text"), (70, b""), (140, b"\xff\xd8\xff")):
        (catalogue.root / catalogue.items["image"][row].as_py()).write_bytes(data)
    with pytest.raises(CatalogueError) as caught:
        open_pixel_cache(catalogue, np.arange(150), SPEC, tmp_path / "cache")
    names = catalogue.items["image"].to_pylist()
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        [f"row {row + 1}", names[row]] for row in (2, 70, 140)
    ]
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("batch", [1, 7, 150, 400])
def test_batches_come_in_order_and_the_last_may_be_smaller(catalogue: Catalogue, batch: int) -> None:
    rows = np.arange(149, -1, -1)
    batches = list(iterate_pixels(catalogue, rows, SPEC, batch=batch))
    assert [len(part) for part in batches[:-1]] == [min(batch, 150)] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate(batches), expected(catalogue, rows))


def test_no_rows_give_no_batches(catalogue: Catalogue) -> None:
    assert list(iterate_pixels(catalogue, np.empty(0, np.int64), SPEC, batch=4)) == []


def test_a_file_that_vanished_is_reported_by_its_row(catalogue: Catalogue) -> None:
    (catalogue.root / catalogue.items["image"][5].as_py()).unlink()
    with pytest.raises(CatalogueError, match=f"row 6: {catalogue.items['image'][5]}"):
        list(iterate_pixels(catalogue, np.arange(10), SPEC, batch=4))
