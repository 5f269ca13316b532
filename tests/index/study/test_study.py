"""The study's command on tiny data: whole, resumed after a kill, and refused."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.tables import pack_vectors
from src.index.simulated import CATEGORIES, Clustered
from src.index.study.peers import PEERS
from src.index.study.points import Points
from src.index.study.report import at_recall
from src.index.study.source import from_embeddings

LAYOUTS = "exact,hnsw_fp16,hnsw_sq8,ivf_rabitq_sq8"


INSTALLED = all(importlib.util.find_spec(name) for name in ("hnswlib", "usearch"))
"""The peers are packages of the extra `bench`; without them the study is tested without them."""


def study(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "src.index.study", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def done(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study that was killed once its first points stood there, then run again; its folder and what it printed."""
    output = tmp_path_factory.mktemp("study")
    arguments = ["--clustered", "2000x64", "--output", str(output), "--queries", "60", "--layouts", LAYOUTS]
    arguments += ["--peers"] if INSTALLED else []
    command = [sys.executable, "-m", "src.index.study", *arguments]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        points = output / "points.jsonl"
        deadline = time.monotonic() + 100
        while first.poll() is None and not (points.exists() and points.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
    assert points.stat().st_size
    before = points.read_bytes().splitlines(keepends=True)
    with points.open("ab") as file:
        file.write(b'{"index": "hnsw_sq8", "eff')  # as a kill leaves a line that is being written
    built = {path: path.stat().st_mtime_ns for path in (output / "indexes").iterdir()}
    again = study(repository, *arguments)
    assert again.returncode == 0, again.stderr
    assert "building" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (output / "indexes").iterdir()} == built
    whole = [line for line in before if line.endswith(b"\n")]
    assert points.read_bytes().splitlines(keepends=True)[: len(whole)] == whole
    return output, again.stdout


def test_a_killed_study_goes_on_and_measures_every_point_once(done: tuple[Path, str]) -> None:
    points = Points(done[0] / "points.jsonl").all
    keys = [(point["index"], json.dumps(point["effort"])) for point in points]
    assert len(set(keys)) == len(keys)
    assert {name for name, _ in keys} == {*LAYOUTS.split(","), *(PEERS if INSTALLED else ())}
    for point in points:
        assert 0 < point["worst_recall"] <= point["recall_at_10"] <= 1
        assert point["worst_recall"] == min(point["categories"].values())
        assert 0 < point["p50_ms"] <= point["p99_ms"]
        assert point["build_cpu_s"] >= 0
    exact = next(point for point in points if point["index"] == "exact")
    assert exact["recall_at_10"] == exact["worst_recall"] == 1
    assert exact["bytes_per_vector"] == pytest.approx(4 * 64, rel=0.01)


def test_the_table_and_the_plots_hold_what_was_measured(done: tuple[Path, str]) -> None:
    output, printed = done
    points = Points(output / "points.jsonl").all
    table = pq.read_table(output / "table.parquet")
    assert table["recall_at_10"].to_pylist() == [point["recall_at_10"] for point in points]
    assert dict(table["categories"][0].as_py()) == points[0]["categories"]
    best = at_recall(points, 0.95)
    assert best[0]["p50_ms"] == min(point["p50_ms"] for point in points if point["recall_at_10"] >= 0.95)
    assert (output / "table.md").read_text() in printed
    assert printed.count("of plain FAISS on the same index") == len(LAYOUTS.split(","))
    for name in ("recall_latency.svg", "recall_bytes.svg", "worst_category_latency.svg"):
        text = (output / name).read_text()
        assert text.startswith("<?xml")
        assert all(layout in text for layout in LAYOUTS.split(","))


def test_another_source_or_other_builds_need_another_folder(repository: Path, done: tuple[Path, str]) -> None:
    output = str(done[0])
    other = study(repository, "--clustered", "2001x64", "--output", output, "--queries", "60", "--build-only")
    assert other.returncode == 2
    assert "name another folder" in other.stderr
    given = ("--clustered", "2000x64", "--output", output, "--queries", "60", "--layouts", "exact", "--build-only")
    assert study(repository, *given).returncode == 0
    built = study(repository, *given, "--m", "8")
    assert built.returncode == 2
    assert "was built with {'m': 32" in built.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--clustered", "many"), "must be ROWSxDIM"),
        (("--clustered", "10x64", "--layouts", "hnsw"), "`--layouts hnsw`: must be among exact"),
        (("--clustered", "10x64", "--m", "1"), "`--m`: must be at least 2"),
        (("absent.parquet",), "cannot be read as Parquet"),
    ],
)
def test_what_cannot_work_is_said(repository: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = study(repository, *arguments, "--output", str(tmp_path))
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_embeddings_files_of_both_kinds_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((50, 8)).astype(np.float16).astype(np.float32) + 3
    packed = pa.table({"vector": pack_vectors(vectors)})
    pq.write_table(packed, tmp_path / "packed.parquet")
    source = from_embeddings(tmp_path / "a", tmp_path / "packed.parquet", 10)
    assert source.gallery.shape == (40, 8)
    assert source.categories is None
    cosines = source.queries @ np.asarray(source.gallery).T
    np.testing.assert_allclose(source.kth, np.sort(cosines, axis=1)[:, -10], atol=1e-6)
    roles = np.arange(50) < 7
    listed = {"vector": list(vectors), "is_query": roles, "is_gallery": ~roles, "category": ["a"] * 3 + ["b"] * 47}
    pq.write_table(pa.table(listed), tmp_path / "listed.parquet")
    source = from_embeddings(tmp_path / "b", tmp_path / "listed.parquet", 1000)
    assert source.gallery.shape == (43, 8)
    assert source.categories is not None
    assert source.categories.tolist() == ["a"] * 3 + ["b"] * 4
    np.testing.assert_allclose(source.queries[0], vectors[0] / np.linalg.norm(vectors[0]), atol=1e-6)


def test_simulated_vectors_are_seeded_and_categories_differ() -> None:
    simulated = Clustered(40_000, 64, seed=3)
    parts = list(simulated.gallery())
    assert [len(part) for part in parts] == [32_768, 7_232]
    np.testing.assert_array_equal(parts[1], list(Clustered(40_000, 64, seed=3).gallery())[1])
    gallery, cluster = simulated.vectors(), simulated.clusters()
    np.testing.assert_array_equal(gallery, np.concatenate(parts))
    largest = [np.flatnonzero(cluster == one) for one in np.argsort(-np.bincount(cluster))[:20]]
    centres = np.stack([gallery[rows].mean(axis=0) for rows in largest])
    # A vector is nearest to the mean of its own cluster, but for the wide ones.
    own = [np.mean(np.argmax(gallery[rows] @ centres.T, axis=1) == number) for number, rows in enumerate(largest)]
    assert np.mean(own) > 0.9
    np.testing.assert_allclose(np.linalg.norm(gallery, axis=1), 1, atol=1e-5)
    queries, category = simulated.queries(200)
    assert not np.isin(queries[:, 0], gallery[:, 0]).any()
    nearest = np.sort(queries @ gallery.T, axis=1)[:, -1]
    assert nearest[category < 4].mean() > nearest[category >= CATEGORIES - 4].mean() + 0.1
    assert not np.array_equal(next(iter(Clustered(40_000, 64, seed=4).gallery())), parts[0])
