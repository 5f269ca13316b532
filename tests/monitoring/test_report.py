"""`python -m src.monitoring.report` as a process: on windows, on photos, and what a user can get wrong."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.contracts.bundle import DRIFT_REFERENCE, open_bundle
from src.contracts.drift_reference import SCALARS, read_drift_reference
from src.monitoring.drift.folder import write_window
from src.monitoring.drift.photos import window_of_photos
from src.monitoring.report import main
from src.search import Searcher
from tests.monitoring.watched_bundle import photo
from tests.search.small_bundle import Shop, catalogue, write_bundle


def report(*arguments: str | Path, repository: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "src.monitoring.report", *map(str, arguments)]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=120)


def photos(folder: Path, seeds: range, **change) -> Path:
    folder.mkdir()
    for seed in seeds:
        (folder / f"photo{seed}.jpg").write_bytes(photo(seed, **change))
    return folder


@pytest.fixture(scope="module")
def windows(watched: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days: as usual, and with red and blue swapped."""
    folder = tmp_path_factory.mktemp("windows")
    searcher = Searcher.open(watched.root, runtime="onnxruntime", threads=1)
    reference = read_drift_reference(searcher.bundle.path(DRIFT_REFERENCE))
    for day, swapped in enumerate((False, True)):
        seeds = range(1000 * (day + 1), 1000 * (day + 1) + 200)
        asked = photos(tmp_path_factory.mktemp("asked") / "photos", seeds, swapped=swapped)
        window = window_of_photos(searcher, reference, asked, photos=True)
        window.started = window.ended = 86400.0 * (day + 1)
        write_window(folder, window)
    return folder


def test_windows_are_compared_and_the_page_needs_nothing_else(
    watched: Shop, windows: Path, tmp_path: Path, repository: Path
) -> None:
    done = report("--bundle", watched.root, "--windows", windows, "--output", tmp_path, repository=repository)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 of 2 windows with an alarm (")
    assert "The encoder is the exported one" in done.stdout
    page = (tmp_path / "drift.html").read_text()
    for word in ("Alarm in", "rule of thumb", "effective rank", "1970-01-03", "reference"):
        assert word in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert page.count("<svg") == 8
    assert "data:image/jpeg;base64," in page
    assert (tmp_path / "baseline.window").stat().st_size > 1000


def test_a_baseline_takes_the_place_of_the_reference(
    watched: Shop, windows: Path, tmp_path: Path, repository: Path
) -> None:
    same = ("--bundle", watched.root, "--windows", windows, "--hours", "720")
    assert report(*same, "--output", tmp_path, repository=repository).returncode == 0
    done = report(*same, "--output", tmp_path, "--baseline", tmp_path / "baseline.window", repository=repository)
    assert done.stdout.startswith("0 of 1 windows with an alarm. Nothing differs"), done.stdout + done.stderr


def test_a_folder_of_photos_is_embedded_and_what_is_no_photo_is_counted(
    watched: Shop, tmp_path: Path, repository: Path
) -> None:
    asked = photos(tmp_path / "asked", range(5000, 5150), brighter=1.8)
    (asked / "notes.txt").write_text("no photo")
    done = report("--bundle", watched.root, "--queries", asked, "--output", tmp_path / "out", repository=repository)
    assert done.returncode == 0, done.stderr
    assert "inputs" in done.stdout
    page = (tmp_path / "out" / "drift.html").read_text()
    assert "150 queries, 1 dropped" in page
    assert "data:image/jpeg" not in page


def test_what_a_user_can_mend_ends_with_two(watched: Shop, windows: Path, tmp_path: Path, capsys) -> None:
    old = write_bundle(tmp_path / "old", catalogue(3))
    (tmp_path / "empty").mkdir()
    bundle = ("--bundle", watched.root)
    for arguments, said in (
        ((*bundle, "--windows", tmp_path / "empty"), "no *.window file in it"),
        ((*bundle, "--queries", tmp_path / "empty"), "no photo that can be read among 0 files"),
        ((*bundle, "--windows", tmp_path / "absent"), "is no folder"),
        ((*bundle, "--windows", windows, "--hours", "0"), "must be above 0"),
        ((*bundle, "--windows", windows, "--baseline", tmp_path / "absent"), "cannot be read"),
        (("--bundle", old.root, "--windows", windows), "it has no drift_reference.npz"),
        ((*bundle,), "one of the arguments"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--output", str(tmp_path / "out")])
        assert ended.value.code == 2, arguments
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_counted_is_what_was_asked(watched: Shop, tmp_path: Path) -> None:
    bundle = open_bundle(watched.root)
    reference = read_drift_reference(bundle.path(DRIFT_REFERENCE))
    searcher = Searcher.open(bundle, runtime="onnxruntime", threads=1)
    window = window_of_photos(searcher, reference, photos(tmp_path / "asked", range(40)), photos=False)
    widths = reference.names.index("width")
    assert window.counts[widths].sum() == window.images == 40
    np.testing.assert_array_equal(window.quantiles(SCALARS.index("width"), np.array([0.0, 1.0])), [64, 96])
    assert window.examples.photos == [b""] * 40
