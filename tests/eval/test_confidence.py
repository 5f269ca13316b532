"""What evaluate.py writes beside the metrics."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.eval.confidence import confidence_metrics, interval_metrics
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.intervals import cluster_intervals


@pytest.fixture
def everything() -> Embedded:
    rng = np.random.default_rng(23)
    items = rng.integers(0, 30, 120)
    vectors = rng.standard_normal((30, 8))[items] + 0.8 * rng.standard_normal((120, 8))
    columns = {
        "image_id": [f"image-{n}" for n in range(120)],
        "item_id": [f"item-{n}" for n in items],
        "parent_id": [f"parent-{n // 2}" for n in items],
        "category": [f"category-{n % 4}" for n in items],
        "color": [f"color-{n % 3}" for n in items],
    }
    ids = (np.array(columns[name], object) for name in ("image_id", "item_id"))
    return Embedded(vectors.astype(np.float32), *ids, pa.table(columns))


def test_every_metric_has_its_interval_and_colour_its_excess(everything) -> None:
    evaluation = evaluate_embedded(everything, everything)
    flat = confidence_metrics(evaluation)
    table = evaluation.per_query
    for name in ("recall@1", "ndcg@10", "mrr"):
        assert flat[f"{name}_low"] < evaluation.metrics[name] < flat[f"{name}_high"]
    expected = cluster_intervals(table["mrr"].to_numpy()[:, None], table["product"].to_numpy(), confidence=0.95)[0]
    assert (flat["mrr_low"], flat["mrr_high"]) == pytest.approx((expected.low, expected.high))
    assert flat["color_excess@10"] == pytest.approx(flat["color_share@10"] - flat["color_ideal@10"])
    assert flat["color_excess@10_low"] < flat["color_excess@10"] < flat["color_excess@10_high"]
    assert not any(name.startswith("brand") for name in flat)
    narrow = interval_metrics(table, confidence=0.5)
    assert flat["mrr_low"] < narrow["mrr_low"] < narrow["mrr_high"] < flat["mrr_high"]


@pytest.fixture
def file(everything, tmp_path: Path) -> Path:
    roles = pa.array([True] * 120)
    table = everything.attributes.append_column("is_query", roles).append_column("is_gallery", roles)
    path = tmp_path / "v.parquet"
    pq.write_table(table.append_column("vector", pa.array(everything.vectors.tolist())), path)
    return path


def test_evaluate_py_writes_intervals_and_slices(
    file: Path, tmp_path: Path, repository: Path, warm_python: Path
) -> None:
    def evaluate(*more: str) -> subprocess.CompletedProcess:
        command = [warm_python, "evaluate.py", f"embeddings={file}", f"output={tmp_path / 'out'}", *more]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)

    done = evaluate("resamples=500", "slices=[color,positives]")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0 < metrics["recall@1_low"] < metrics["recall@1"] < metrics["recall@1_high"] < 1
    assert f"{metrics['recall@1_low']:.4f} to {metrics['recall@1_high']:.4f}" in done.stdout
    assert "worst slices by recall@1" in done.stdout
    slices = pq.read_table(tmp_path / "out" / "slices.parquet").to_pylist()
    assert {row["column"] for row in slices} == {"color", "positives"}
    queries = sum(row["queries"] for row in slices if row["column"] == "color")
    assert queries == metrics["queries"]

    refused = evaluate("slices=[shape]")
    assert refused.returncode == 2
    assert "`slices`: no column shape; the queries have image_id" in refused.stderr
