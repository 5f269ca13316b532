"""Vectors made by anything else."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import TableError
from src.eval.per_query import about_queries, read_queries
from src.eval.vectors_file import read_vectors


def columns(**changes: object) -> dict:
    values = {
        "image_id": ["a", "b", "c"],
        "item_id": ["1", "1", "2"],
        "is_query": [True, False, True],
        "is_gallery": [False, True, True],
        "vector": [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]],
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def write(tmp_path: Path, **changes: object) -> Path:
    pq.write_table(pa.table(columns(**changes)), tmp_path / "v.parquet")
    return tmp_path / "v.parquet"


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 2),
        pa.list_(pa.int64()),
    ],
)
def test_queries_and_gallery_are_told_apart(tmp_path: Path, kind: pa.DataType) -> None:
    vectors = pa.array([[1, 0], [2, 5], [0, 1]], kind)
    queries, gallery = read_vectors(write(tmp_path, vector=vectors, season=["a", "b", "c"]))
    assert queries.image_ids.tolist() == ["a", "c"]
    assert gallery.image_ids.tolist() == ["b", "c"]
    assert gallery.item_ids.tolist() == ["1", "2"]
    assert queries.attributes["season"].to_pylist() == ["a", "c"]
    assert gallery.attributes["season"].to_pylist() == ["b", "c"]
    assert gallery.vectors.dtype == np.float32
    assert gallery.vectors.tolist() == [[2, 5], [0, 1]]


def test_numbers_serve_as_ids_and_flags(tmp_path: Path) -> None:
    path = write(tmp_path, image_id=[1, 2, 3], item_id=[7, 7, 8], is_query=[1, 0, 1])
    queries, _ = read_vectors(path)
    assert queries.image_ids.tolist() == ["1", "3"]
    assert queries.item_ids.tolist() == ["7", "8"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vector": None, "is_query": None}, "no column is_query, vector; it needs image_id"),
        ({"item_id": ["1", None, "2"]}, "null in column item_id"),
        ({"vector": [[1.0], None, [2.0]]}, "null in column vector"),
        ({"vector": [[1.0, 2.0], [1.0], [2.0, 3.0]]}, r"vectors of different lengths: \[1, 2\]"),
        ({"vector": [[1.0, None], [1.0, 2.0], [2.0, 3.0]]}, "null inside column vector"),
        ({"vector": ["a", "b", "c"]}, "column vector is string, not a list of float"),
        ({"vector": [["a"], ["b"], ["c"]]}, "not a list of float"),
        ({"vector": [1.0, 2.0, 3.0]}, "not a list of float"),
        ({"image_id": ["a", "a", "c"]}, "image_id must be unique"),
        ({"is_query": ["perhaps", "no", "yes"]}, "column is_query is string, not bool"),
        ({"item_id": [["1"], ["1"], ["2"]]}, "column item_id is list"),
    ],
)
def test_a_file_that_is_not_like_that_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(TableError, match=message) as caught:
        read_vectors(path)
    assert str(caught.value).startswith(f"`embeddings={path}`: ")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table(columns()).slice(0, 0), tmp_path / "v.parquet")
    with pytest.raises(TableError, match="it has no rows"):
        read_vectors(tmp_path / "v.parquet")


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.parquet").write_bytes(b"image_id,item_id\n")
    for path in (tmp_path / "v.parquet", tmp_path / "absent.parquet", tmp_path):
        with pytest.raises(TableError, match=r"cannot be read as Parquet|no column"):
            read_vectors(path)


def test_evaluate_py_takes_such_a_file(tmp_path: Path, repository: Path, warm_python: Path) -> None:
    path = write(tmp_path, season=["warm", "cold", None])
    command = [warm_python, "evaluate.py", f"embeddings={path}", f"output={tmp_path / 'out'}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    names = ["recall@1", "recall@5", "recall@10", "precision@1", "precision@5", "precision@10", "map@10", "ndcg@10"]
    names += ["graded_ndcg@10", "map@r", "r_precision", "mrr"]
    # One query with a positive: no interval.
    assert list(metrics) == [*names, "queries", "queries_without_positives"]
    assert pq.read_table(tmp_path / "out" / "slices.parquet").num_rows > 0
    # Query a finds b at once; the only image of item 2 is query c's own.
    assert {metrics[name] for name in names if name not in ("precision@5", "precision@10")} == {1.0}
    assert (metrics["precision@5"], metrics["precision@10"]) == (1 / 5, 1 / 10)
    assert (metrics["queries"], metrics["queries_without_positives"]) == (1, 1)
    table = read_queries(tmp_path / "out" / "queries.parquet")
    assert table["image_id"].to_pylist() == ["a", "c"]
    assert table["season"].to_pylist() == ["warm", None]
    about = about_queries(table)
    assert (about["name"], about["split"], about["method"], about["seed"]) == ("v", None, None, None)
