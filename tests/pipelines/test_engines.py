"""Pool and Spark do what the process alone does; a worker that dies costs a row at most."""

import os
from pathlib import Path

import pytest

from src.contracts.settings import DataSettings
from src.pipelines.settings import EngineSettings
from tests.pipelines.small_run import rows_of, run, write_encoder_bundle

OF_THE_RUN = ("created_at", "seen_at", "batch_id", "run", "version")
"""Columns that tell runs and commits apart."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder_bundle(tmp_path_factory.mktemp("encoder") / "bundle")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, folder_catalogue, data_settings) -> DataSettings:
    root = folder_catalogue(tmp_path_factory.mktemp("items") / "items", items=12, images=2, side=64)
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    (root / "items.csv").write_text(
        "\n".join(["item_id,image", *(f"{image.split('/')[0]},{image}" for image in images)])
    )
    (root / images[5]).write_bytes(b"broken")
    return data_settings(reader="manifest", root=str(root), manifest="items.csv")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, bundle: Path, folder: DataSettings) -> Path:
    output = tmp_path_factory.mktemp("alone") / "out"
    run(bundle, output, folder)
    return output


def everything(output: Path | str) -> dict[str, list[dict]]:
    tables = ("embeddings", "files", "images", "quarantine")
    return {table: rows_of(output, table, without=OF_THE_RUN) for table in tables}


def test_a_pool_does_what_the_process_alone_does_and_survives_a_worker(
    tmp_path: Path, bundle: Path, folder: DataSettings, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row ends each process that decodes it; another one does so once."""
    wrapper = tmp_path / "sitecustomize.py"
    wrapper.write_text(DEADLY.format(flag=str(tmp_path / "died")))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    pool = EngineSettings(name="pool", workers=2, task_rows=3, batch=8)
    summary = run(bundle, tmp_path / "out", folder, engine=pool)
    assert summary.counts == {"out": 22, "quarantined:unsupported": 1, "quarantined:worker_died": 1}
    found = everything(tmp_path / "out")
    expected = everything(alone)
    dead = [row["image_id"] for row in found["quarantine"] if row["reason"] == "worker_died"]
    assert dead == ["item-007/1.png"]
    for table, rows in expected.items():
        assert [row for row in found[table] if row["image_id"] not in dead] == [
            row for row in rows if row["image_id"] not in dead
        ]
    monkeypatch.delenv("PYTHONPATH")
    # It is not tried again while its file stays as it is.
    assert run(bundle, tmp_path / "out", folder).done == {"unchanged": 24}


DEADLY = """
import os, pathlib, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name != "src.pipelines.stages.read":
            return None
        sys.meta_path.remove(self)
        import src.catalog.image_source as source
        read = source.read_image
        def deadly(root, image, **more):
            if image == "item-007/1.png":
                os._exit(9)
            if image == "item-003/0.png" and not pathlib.Path({flag!r}).exists():
                pathlib.Path({flag!r}).touch()
                os._exit(9)
            return read(root, image, **more)
        source.read_image = deadly
        return None

if any("spawn_main" in word for word in sys.orig_argv):
    sys.meta_path.insert(0, Finder())
"""


def test_spark_does_what_the_process_alone_does(
    tmp_path: Path, bundle: Path, folder: DataSettings, alone: Path, spark
) -> None:
    engine = EngineSettings(name="spark", master="local[2]", task_rows=12, batch=8)
    summary = run(bundle, tmp_path / "out", folder, engine=engine)
    assert summary.done == {"embedded": 23, "normalised": 23, "reason:unsupported": 1}
    assert everything(tmp_path / "out") == everything(alone)
