"""Vectors made by anything else."""

import datetime
import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import LookalikeError, TableError
from src.contracts.tables import pack_vectors
from src.eval.evaluation import evaluate_embedded
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
        ({"vector": None, "is_query": None}, "no column vector, is_query; it needs image_id"),
        ({"item_id": ["1", None, "2"]}, r"null, NaN or empty in column item_id \(row 2\)"),
        ({"vector": [[1.0], None, [2.0]]}, "null in column vector"),
        ({"vector": [[1.0, 2.0], [1.0], [2.0, 3.0]]}, r"vectors of different lengths or none: \[1, 2\]"),
        ({"vector": [[1.0, None], [1.0, 2.0], [2.0, 3.0]]}, "null inside column vector"),
        ({"vector": ["a", "b", "c"]}, "column vector is string, neither a list of numbers nor float16"),
        ({"vector": [["a"], ["b"], ["c"]]}, "neither a list of numbers"),
        ({"vector": [1.0, 2.0, 3.0]}, "neither a list of numbers"),
        ({"image_id": ["a", "a", "c"]}, "image_id must be unique"),
        ({"is_query": ["perhaps", "no", "yes"]}, "column is_query is string, not bool"),
        ({"item_id": [1.0, 1.5, 2.0]}, "row 2: item_id=1.5: not a whole number"),
        ({"item_id": [["1"], ["1"], ["2"]]}, "column item_id holds list"),
    ],
)
def test_a_file_that_is_not_like_that_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(TableError, match=message) as caught:
        read_vectors(path)
    assert str(caught.value).startswith(f"`embeddings={path}`: ")


def test_an_embeddings_table_is_read_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = np.array([[1, 0], [0.5, 0.25], [0, -2]], np.float16)
    path = write(
        tmp_path, vector=pack_vectors(vectors), is_query=None, is_gallery=None, encoder_id=["e"] * 3, dim=[2] * 3
    )
    queries, gallery = read_vectors(path)
    assert queries.image_ids.tolist() == gallery.image_ids.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(gallery.vectors, vectors.astype(np.float32))
    assert "no is_query and is_gallery: each image is searched for among all others" in capsys.readouterr().out
    with pytest.raises(TableError, match=r"vectors of 2 encoders \(e, f\), which cannot be compared"):
        read_vectors(write(tmp_path, encoder_id=["e", "f", "e"]))
    with pytest.raises(TableError, match="no column is_gallery"):
        read_vectors(write(tmp_path, is_gallery=None))


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float16())])
def test_vectors_of_any_length_have_a_direction(tmp_path: Path, kind: pa.DataType) -> None:
    info = np.finfo(kind.value_type.to_pandas_dtype())
    rows = np.array([[0.5 * info.max, 0.25 * info.max], [3 * info.tiny, 4 * info.tiny], [0, -1]])
    queries, _ = read_vectors(write(tmp_path, vector=pa.array(rows.tolist(), kind), is_query=[True] * 3))
    exact = rows / np.abs(rows).max(axis=1, keepdims=True)
    exact /= np.sqrt((exact**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(queries.normalised("queries"), exact, rtol=1e-3 if info.bits == 16 else 1e-6)


@pytest.mark.parametrize("bad", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_vectors_without_a_direction_are_refused(tmp_path: Path, bad: list[float]) -> None:
    queries, _ = read_vectors(write(tmp_path, vector=[[1e25, 1.0], [1.0, 0.0], bad]))
    with pytest.raises(LookalikeError, match="1 of 2 embeddings hold NaN or infinity or are all zero, first image 'c'"):
        queries.normalised("queries")


MISSING = {
    "null": pa.array(["x", None, "y"]),
    "NaN": pa.array([1.0, float("nan"), 2.0]),
    "half NaN": pa.array([1.0, float("nan"), 2.0], pa.float16()),
    "NaT": pa.array([1, None, 2], pa.int64()),
    "empty": pa.array(["x", "", "y"]),
    "blank": pa.array(["x", " \t", "y"]),
    "wide blank": pa.array(["x", "\u2003\u00a0", "y"]),
    "empty binary": pa.array([b"x", b"", b"y"]),
    "coded": pa.array(["x", "", "y"]).dictionary_encode(),
    "coded null": pa.array(["x", None, "y"]).dictionary_encode(),
    "large": pa.array(["x", "", "y"], pa.large_string()),
    "view": pa.array(["x", "", "y"], pa.string_view()),
    "only nulls": pa.nulls(3),
}


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("name", ["image_id", "item_id"])
def test_an_id_that_is_missing_in_any_way_is_no_product_of_that_name(tmp_path: Path, name: str, kind: str) -> None:
    row = 1 if kind == "only nulls" else 2
    with pytest.raises(TableError, match=rf"null, NaN or empty in column {name} \(row {row}\)"):
        read_vectors(write(tmp_path, **{name: MISSING[kind]}))


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("name", ["parent_id", "category", "brand", "color"])
def test_a_name_that_is_missing_in_any_way_is_null(tmp_path: Path, name: str, kind: str) -> None:
    queries, gallery = read_vectors(write(tmp_path, is_gallery=[True] * 3, **{name: MISSING[kind]}))
    nulls = gallery.attributes[name].is_null().to_pylist()
    assert nulls == ([True] * 3 if kind == "only nulls" else [False, True, False])
    evaluation = evaluate_embedded(queries, gallery)
    products = evaluation.per_query["product"].to_pylist()
    known = queries.attributes[name].to_pylist() if name == "parent_id" else [None, None]
    assert products == [parent or item for parent, item in zip(known, queries.item_ids, strict=True)]


@pytest.mark.parametrize("name", ["is_query", "is_gallery"])
def test_a_role_that_is_missing_is_refused(tmp_path: Path, name: str) -> None:
    for values in ([True, None, False], pa.array([1.0, float("nan"), 0.0]), pa.array([1, None, 0])):
        with pytest.raises(TableError, match=rf"null, NaN or empty in column {name} \(row 2\)"):
            read_vectors(write(tmp_path, **{name: values}))


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
    # Columns that no metric needs, of types that Arrow has few functions for.
    others = {
        "hash": [2**60 + 1, 2**60 + 3, 2**60 + 1],
        "clock": [datetime.time(1), None, datetime.time(2)],
        "at": pa.array([1, 2, None], pa.timestamp("ns")),
        "half": pa.array([1.5, None, 2.5], pa.float16()),
        "blob": pa.array([b"\xff", None, b"\xfe"], pa.large_binary()),
        "view": pa.array(["x", None, "y"], pa.string_view()),
        "took": pa.array([1, 2, None], pa.duration("ns")),
        "tags": [["x"], None, []],
        "of": [{"x": 1}, None, {"x": 2}],
        "nothing": pa.nulls(3),
    }
    path = write(tmp_path, season=["warm", "cold", None], **others)
    command = [warm_python, "evaluate.py", f"embeddings={path}", f"output={tmp_path / 'out'}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    names = ["recall@1", "recall@5", "recall@10", "precision@1", "precision@5", "precision@10", "map@10", "ndcg@10"]
    names += ["graded_ndcg@10", "map@r", "r_precision", "mrr"]
    # One query with a positive: no interval.
    assert (tmp_path / "out" / "report.html").is_file()
    line = "no slices by columns of types that have none: clock (time64[us]), blob (large_binary)"
    assert line in done.stdout + done.stderr
    assert list(metrics) == [*names, "queries", "queries_without_positives", "open_set_auroc", "open_set_fpr@95"]
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
