"""Pixels on disk are the pixels of the files, as long as the files are those."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import CatalogueError, LookalikeError
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.datamodules.pixel_cache import _locked, open_pixel_cache
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


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules import pixel_cache
import pyarrow.parquet as pq

root, cache, batches = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
iterate = pixel_cache.iterate_pixels

def until(*arguments, **keywords):
    for number, batch in enumerate(iterate(*arguments, **keywords)):
        if number == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch

pixel_cache.iterate_pixels = until
pixel_cache._BATCH, pixel_cache._SAVED_EVERY = 10, 2
catalogue = Catalogue(pq.read_table(cache.parent / "items.parquet"), root)
pixel_cache.open_pixel_cache(catalogue, np.arange(catalogue.items.num_rows), PreprocessingSpec(size=16), cache)
"""


def kill_while_decoding(catalogue: Catalogue, cache: Path, repository: Path, batches: int) -> None:
    pq.write_table(catalogue.items, cache.parent / "items.parquet")
    arguments = [sys.executable, "-c", KILLED, str(catalogue.root), str(cache), str(batches)]
    done = subprocess.run(arguments, cwd=repository, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def spoil(catalogue: Catalogue, rows: range) -> None:
    """Make images unreadable that look unchanged: who decodes them again fails."""
    for row in rows:
        path = catalogue.root / catalogue.items["image"][row].as_py()
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_killed_decoding_goes_on(catalogue: Catalogue, tmp_path: Path, repository: Path) -> None:
    rows, cache = np.arange(150), tmp_path / "cache"
    wanted = expected(catalogue, rows)
    kill_while_decoding(catalogue, cache, repository, batches=7)
    assert sorted(path.suffix for path in cache.iterdir()) == [".done", ".part"]
    # Seven batches of ten were decoded, and six saved.
    spoil(catalogue, range(60))
    np.testing.assert_array_equal(open_pixel_cache(catalogue, rows, SPEC, cache), wanted)
    assert [path.suffix for path in cache.iterdir()] == [".npy"]


@pytest.mark.parametrize("left", ["nothing saved", "no count", "no part", "torn part"])
def test_what_a_killed_decoding_left_is_trusted_only_as_far_as_it_goes(
    catalogue: Catalogue, tmp_path: Path, repository: Path, left: str
) -> None:
    rows, cache = np.arange(150), tmp_path / "cache"
    kill_while_decoding(catalogue, cache, repository, batches=1 if left == "nothing saved" else 4)
    part = next(cache.glob("*.part"))
    if left == "no count":
        part.with_suffix(".done").unlink()
    if left == "no part":
        part.unlink()
    if left == "torn part":
        part.write_bytes(part.read_bytes()[:1000])
    np.testing.assert_array_equal(open_pixel_cache(catalogue, rows, SPEC, cache), expected(catalogue, rows))
    assert [path.suffix for path in cache.iterdir()] == [".npy"]


def test_a_second_process_waits_for_the_first(catalogue: Catalogue, tmp_path: Path) -> None:
    rows, cache = np.arange(8), tmp_path / "cache"
    open_pixel_cache(catalogue, rows, SPEC, cache)
    path = next(cache.iterdir())
    path.unlink()
    part, answers = path.with_suffix(".part"), []
    waiter = threading.Thread(target=lambda: answers.append(open_pixel_cache(catalogue, rows, SPEC, cache)))
    with _locked(part):
        waiter.start()
        waiter.join(0.5)
        assert waiter.is_alive()
        # What it would decode looks otherwise.
        with part.open("wb") as file:
            np.save(file, np.zeros((8, 16, 16, 3), np.uint8))
        part.rename(path)
    waiter.join(20)
    assert not answers[0].any()
    assert [found.suffix for found in cache.iterdir()] == [".npy"]


def test_a_full_disk_is_noticed_before_the_work(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    with pytest.raises(
        LookalikeError, match=r"`data\.cache=.*pixels at 16 x 16 take .* GiB of disk.* are free; delete"
    ):
        open_pixel_cache(catalogue, np.arange(150), SPEC, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
