import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from src.contracts.errors import LookalikeError
from src.shop import open_shop, workforce, write_shop, writer

SMALL = {"parents": 16, "seed": 3, "image_size": 48, "sessions": 40}


def _bytes(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    root = tmp_path_factory.mktemp("reference") / "shop"
    write_shop(root, **SMALL, workers=1, progress=False)
    return root


def test_same_bytes_whatever_the_workers(reference, tmp_path):
    write_shop(tmp_path / "two", **SMALL, workers=2, progress=False)
    assert _bytes(tmp_path / "two") == _bytes(reference)


def test_another_seed_gives_another_shop(reference, tmp_path):
    write_shop(tmp_path / "other", **{**SMALL, "seed": 4}, progress=False)
    assert _bytes(tmp_path / "other")["items.parquet"] != _bytes(reference)["items.parquet"]


def test_opening_again_reads_only(reference):
    before = {p: p.stat().st_mtime_ns for p in reference.rglob("*")}
    table = open_shop(reference, **SMALL)
    assert isinstance(table, pa.Table)
    assert {p: p.stat().st_mtime_ns for p in reference.rglob("*")} == before


@pytest.mark.parametrize(("name", "value"), [("parents", 17), ("seed", 9), ("image_size", 64), ("sessions", 41)])
def test_other_settings_are_refused(reference, name, value):
    with pytest.raises(LookalikeError, match=f"{name} is {SMALL[name]}, not {value}.*delete the folder"):
        open_shop(reference, **{**SMALL, name: value})


def test_another_generator_is_refused(reference, monkeypatch):
    monkeypatch.setattr(writer, "GENERATOR", writer.GENERATOR + 1)
    with pytest.raises(LookalikeError, match="generator is"):
        open_shop(reference, **SMALL)


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(workforce, "shoot", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_shop(tmp_path / "shop", **SMALL, workers=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_write_is_not_mistaken_for_a_shop(tmp_path):
    root = tmp_path / "shop"
    code = f"from pathlib import Path; from src.shop import write_shop; write_shop(Path({str(root)!r}), parents=200, seed=0, image_size=96, sessions=10)"  # noqa: E501
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(tmp_path.glob(".shop.*.draft/images/*/*.jpg")):
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not root.exists()
    assert open_shop(root, **SMALL).num_rows > 0


def test_a_failing_process_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(workforce.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="drawing processes failed"):
        write_shop(tmp_path / "shop", **SMALL, workers=2, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_folder(tmp_path, reference):
    failures = []

    def write():
        try:
            write_shop(tmp_path / "shop", **SMALL, workers=1, progress=False)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert failures == []
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]
    assert _bytes(tmp_path / "shop") == _bytes(reference)


def test_foreign_folders_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("important")
    with pytest.raises(LookalikeError, match=r"no shop\.json.*left alone"):
        write_shop(tmp_path, **SMALL, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "shop").write_text("")
    with pytest.raises(LookalikeError, match="is a file"):
        write_shop(tmp_path / "shop", **SMALL, progress=False)


def test_a_damaged_manifest_is_refused(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "shop.json").write_text("{")
    with pytest.raises(LookalikeError, match="cannot be read"):
        open_shop(tmp_path / "shop", **SMALL)


def test_an_unwritable_place_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(LookalikeError, match="cannot be written"):
        write_shop(tmp_path / "file" / "shop", **SMALL, progress=False)


def test_all_bad_settings_are_reported_at_once(tmp_path):
    with pytest.raises(LookalikeError, match=r"parents=3.*seed=-1.*image_size=8.*sessions=-2"):
        write_shop(tmp_path / "shop", parents=3, seed=-1, image_size=8, sessions=-2)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "shop").mkdir()
    write_shop(tmp_path / "shop", **{**SMALL, "parents": 10}, progress=False)
    assert json.loads((tmp_path / "shop" / "shop.json").read_text())["settings"]["parents"] == 10
    assert os.access(tmp_path / "shop", os.R_OK | os.X_OK)


def test_the_catalogue_needs_no_torch():
    code = "import sys, src.shop._worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
