"""A bundle is whole, unchanged and its own, or it does not open."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from src.contracts.bundle import MANIFEST, open_bundle, staged_bundle
from src.contracts.errors import BundleError
from src.contracts.exchange import exchange
from src.contracts.preprocessing import PreprocessingSpec

FILES = {"encoder.onnx": b"weights" * 100, "index.faiss": b"graph" * 50, "items.parquet": b"rows"}


def write(output: Path, *, files: dict[str, bytes] = FILES, dim: int = 8, recall: float = 0.99) -> None:
    with staged_bundle(output) as draft:
        for name, data in files.items():
            (draft.root / name).write_bytes(data)
        draft.content |= {"preprocessing": PreprocessingSpec().to_dict(), "dim": dim, "metric": "cosine"}
        draft.measured |= {"index": {"recall_at_10": recall}, "note": "größer"}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written_is_opened(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "bundle")
    bundle = open_bundle(tmp_path / "deep" / "bundle")
    assert bundle.content["dim"] == 8
    assert bundle.measured == {"index": {"recall_at_10": 0.99}, "note": "größer"}
    assert bundle.preprocessing == PreprocessingSpec()
    assert len(bundle.bundle_id) == 64
    for name, data in FILES.items():
        assert bundle.path(name).read_bytes() == data
    with pytest.raises(BundleError, match=r"it has no manifest\.txt; it has encoder\.onnx"):
        bundle.path("manifest.txt")
    # Nothing is left beside it, and others may read it.
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["bundle"]
    assert (tmp_path / "deep" / "bundle").stat().st_mode & 0o777 == 0o755


def test_equal_inputs_give_equal_bundles(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", files=dict(reversed(FILES.items())))
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    assert open_bundle(tmp_path / "a").bundle_id == open_bundle(tmp_path / "b").bundle_id


def test_the_id_is_that_of_the_content_alone(tmp_path: Path) -> None:
    write(tmp_path / "original")
    write(tmp_path / "measured", recall=0.5)
    write(tmp_path / "dim", dim=9)
    write(tmp_path / "file", files={**FILES, "items.parquet": b"Rows"})
    write(tmp_path / "renamed", files={**FILES, "trending.json": b"{}"})
    ids = {path.name: open_bundle(path).bundle_id for path in tmp_path.iterdir()}
    assert ids["measured"] == ids["original"]
    assert len(set(ids.values())) == 4


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_a_file_is_noticed(tmp_path: Path, name: str) -> None:
    write(tmp_path / "b")
    path = tmp_path / "b" / name
    data = bytearray(path.read_bytes())
    for at in (0, len(data) // 2, len(data) - 1):
        data[at] ^= 1
        path.write_bytes(data)
        with pytest.raises(BundleError, match=name):
            open_bundle(tmp_path / "b")
        data[at] ^= 1
    path.write_bytes(data)
    open_bundle(tmp_path / "b")


def test_one_flipped_bit_anywhere_in_the_manifest_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "b")
    path = tmp_path / "b" / MANIFEST
    original = path.read_bytes()
    for at in range(len(original)):
        changed = bytearray(original)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        with pytest.raises(BundleError):
            open_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw + b"\n",
        lambda raw: raw.replace(b": ", b":  ", 1),
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw[:-1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
        lambda raw: b"[]\n",
        lambda raw: b"null\n",
        lambda raw: b"\xff\xfe",
        lambda raw: b'{\n "format": 3\n}\n',
        lambda raw: b'{"format": 4}',
        lambda raw: raw.replace(b"0.99", b"NaN"),
        lambda raw: raw.replace(b"0.99", b"1e999"),
        lambda raw: raw.replace(b"0.99", b"0.98"),
        lambda raw: raw.replace(b'"dim": 8', b'"dim": 9'),
        lambda raw: json.dumps(json.loads(raw)).encode(),
    ],
)
def test_an_altered_manifest_is_refused(tmp_path: Path, change) -> None:
    write(tmp_path / "b")
    path = tmp_path / "b" / MANIFEST
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BundleError, match=str(tmp_path / "b")):
        open_bundle(tmp_path / "b")


def test_a_bundle_of_an_older_format_must_be_exported_again(tmp_path: Path) -> None:
    write(tmp_path / "b")
    path = tmp_path / "b" / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"format": 3', b'"format": 2'))
    with pytest.raises(
        BundleError, match=r"exported by an older version of Lookalike \(format 2, this one reads 3\); export it again"
    ):
        open_bundle(tmp_path / "b")


def test_missing_and_additional_files_are_named_together(tmp_path: Path) -> None:
    write(tmp_path / "b")
    (tmp_path / "b" / "index.faiss").unlink()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    (tmp_path / "b" / "items.parquet").write_bytes(b"other")
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path / "b")
    for part in ("index.faiss is missing", "notes.txt does not belong to it", "items.parquet has hash"):
        assert part in str(caught.value)


def test_a_folder_in_a_file_s_place_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "b")
    (tmp_path / "b" / "index.faiss").unlink()
    (tmp_path / "b" / "index.faiss").mkdir()
    with pytest.raises(BundleError, match=r"index\.faiss is not a file"):
        open_bundle(tmp_path / "b")


def test_where_there_is_no_bundle_the_message_says_how_to_make_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BundleError, match=r"make one with export\.py"):
            open_bundle(folder)


def write_half(output: Path) -> None:
    with staged_bundle(output) as draft:
        (draft.root / "index.faiss").write_bytes(b"half")
        raise RuntimeError("stop")


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        write_half(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_leaves_the_older_bundle(tmp_path: Path) -> None:
    write(tmp_path / "b")
    before = snapshot(tmp_path)
    with pytest.raises(RuntimeError, match="stop"):
        write_half(tmp_path / "b")
    assert snapshot(tmp_path) == before


def test_figures_that_json_cannot_hold_leave_the_older_bundle(tmp_path: Path) -> None:
    write(tmp_path / "b")
    before = snapshot(tmp_path)
    with pytest.raises(ValueError, match="JSON"), staged_bundle(tmp_path / "b") as draft:
        draft.measured["recall"] = float("nan")
    assert snapshot(tmp_path) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from src.contracts.bundle import staged_bundle
with staged_bundle(Path(sys.argv[1])) as draft:
    (draft.root / "index.faiss").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("older", [True, False])
def test_a_killed_process_leaves_the_older_bundle_or_nothing(tmp_path: Path, repository: Path, older: bool) -> None:
    output = tmp_path / "b"
    if older:
        write(output)
    done = subprocess.run([sys.executable, "-c", KILLED, str(output)], cwd=repository, check=False)
    assert done.returncode == -signal.SIGKILL
    if older:
        assert open_bundle(output).path("index.faiss").read_bytes() == FILES["index.faiss"]
    else:
        assert not output.exists()
    # What it left behind hinders nobody.
    write(output, dim=16)
    assert open_bundle(output).content["dim"] == 16


def test_an_older_bundle_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "b", files={**FILES, "trending.json": b"{}"})
    write(tmp_path / "b", dim=16)
    assert open_bundle(tmp_path / "b").content["dim"] == 16
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_at_no_moment_is_there_no_bundle(tmp_path: Path) -> None:
    """What two renames cannot do: a reader that looks all the time always finds one, the old or the new."""
    if not exchange(*(Path(tempfile.mkdtemp(dir=tmp_path)) for _ in range(2))):
        pytest.skip("this system cannot exchange folders")
    output = tmp_path / "b"
    write(output)
    missing, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            if not (output / MANIFEST).is_file():
                missing.append(True)

    watcher = threading.Thread(target=look)
    watcher.start()
    for dim in range(40):
        write(output, dim=dim)
    done.set()
    watcher.join()
    assert not missing
    assert open_bundle(output).content["dim"] == 39


def test_where_folders_cannot_be_exchanged_two_renames_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "b")
    monkeypatch.setattr("src.contracts.exchange.exchange", lambda one, other: False)
    write(tmp_path / "b", dim=16)
    assert open_bundle(tmp_path / "b").content["dim"] == 16
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_bundle_knows_whether_another_took_its_place(tmp_path: Path) -> None:
    write(tmp_path / "b")
    bundle = open_bundle(tmp_path / "b")
    bundle.check_in_place()
    write(tmp_path / "b", dim=16)
    with pytest.raises(BundleError, match="another took its place while it was being opened"):
        bundle.check_in_place()
    (tmp_path / "b" / MANIFEST).unlink()
    with pytest.raises(BundleError, match="another took its place"):
        bundle.check_in_place()


def test_what_somebody_puts_there_meanwhile_is_never_touched(tmp_path: Path) -> None:
    def write_late() -> None:
        with staged_bundle(tmp_path / "b"):
            (tmp_path / "b").mkdir()
            (tmp_path / "b" / "photo.jpg").write_bytes(b"mine")

    with pytest.raises(BundleError, match="is no bundle"):
        write_late()
    assert snapshot(tmp_path) == {"b/photo.jpg": b"mine"}


def test_a_damaged_bundle_can_be_exported_again(tmp_path: Path) -> None:
    write(tmp_path / "b")
    path = tmp_path / "b" / MANIFEST
    path.write_bytes(path.read_bytes().replace(b"cosine", b"cosinE")[:-5])
    with pytest.raises(BundleError):
        open_bundle(tmp_path / "b")
    write(tmp_path / "b")
    assert open_bundle(tmp_path / "b").content["metric"] == "cosine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b")
    assert open_bundle(tmp_path / "b").content["metric"] == "cosine"


@pytest.mark.parametrize(
    "foreign",
    [
        {"photo.jpg": b"mine"},
        {"sub/notes.txt": b"mine"},
        {"manifest.json": b'{"name": "a browser extension", "version": "1.0"}', "page.js": b"run()"},
        {"manifest.json": b"not JSON", "page.js": b"run()"},
    ],
)
def test_a_folder_of_somebody_else_is_never_touched(tmp_path: Path, foreign: dict[str, bytes]) -> None:
    for name, data in foreign.items():
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_bytes(data)
    with pytest.raises(BundleError, match="exists and is no bundle; name a new folder"):
        write(tmp_path / "b")
    assert snapshot(tmp_path / "b") == foreign


def test_a_file_in_the_bundle_s_place_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(BundleError, match="is no bundle"):
        write(tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["b"]
