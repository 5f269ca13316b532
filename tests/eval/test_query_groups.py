"""Several query images that are one query."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import LookalikeError
from src.contracts.settings import EvaluateSettings
from src.eval.command import evaluate
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded, read_metrics
from src.eval.per_query import about_queries, read_queries
from src.eval.protocol import Protocol
from src.eval.query_groups import merged_queries


def embedded(vectors: np.ndarray, items: list[str], names: str, **columns: list) -> Embedded:
    ids = np.array([f"{names}{row}" for row in range(len(vectors))], object)
    return Embedded(vectors.astype(np.float32), ids, np.array(items, object), pa.table(columns) if columns else None)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("exclude", [None, "request"])
def test_a_query_of_several_images_is_ranked_by_their_mean(exclude: str | None) -> None:
    rng = np.random.default_rng(0)
    groups = [int(group) for group in rng.integers(0, 8, 40)]
    requests = [None if group == 7 else f"r{group}" for group in groups]
    items = [f"i{group if group < 7 else 0}" for group in groups]
    queries = embedded(rng.standard_normal((40, 6)) * rng.uniform(0.5, 9, (40, 1)), items, "q", request=requests)
    gallery_items = [f"i{row % 7}" for row in range(70)]
    gallery = embedded(rng.standard_normal((70, 6)), gallery_items, "g", request=[f"x{row}" for row in range(70)])
    protocol = Protocol(merge_queries="request", exclude=exclude)
    table = evaluate_embedded(queries, gallery, protocol).per_query

    # The reference: loops over the requests.
    keys = [requests[row] or f"alone {row}" for row in range(40)]
    rows_of = {key: [row for row in range(40) if keys[row] == key] for key in dict.fromkeys(keys)}
    ranks = []
    for rows in rows_of.values():
        scores = unit(gallery.vectors.astype(np.float64)) @ unit(queries.vectors.astype(np.float64))[rows].mean(axis=0)
        best = {item: max(s for s, i in zip(scores, gallery_items, strict=True) if i == item) for item in gallery_items}
        ranks.append(1 + sorted(best, key=lambda item: -best[item]).index(items[rows[0]]))
    assert table["image_id"].to_pylist() == [f"q{rows[0]}" for rows in rows_of.values()]
    assert table["query_images"].to_pylist() == [len(rows) for rows in rows_of.values()]
    np.testing.assert_allclose(table["mrr"].to_numpy(), 1 / np.array(ranks))
    assert table["request"].to_pylist() == [requests[rows[0]] for rows in rows_of.values()]


def test_images_that_are_in_the_gallery_are_hidden_or_refused() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0.6, 0.8], [0.8, -0.6]])
    images = embedded(vectors, ["a", "a", "b", "a"], "x", request=["1", "1", None, None])
    with pytest.raises(LookalikeError, match=r"image 'x0' of a query is in the gallery.*`exclude=request`"):
        evaluate_embedded(images, images, Protocol(merge_queries="request"))
    table = evaluate_embedded(images, images, Protocol(merge_queries="request", exclude="request", level="image"))
    first = table.per_query.slice(0, 1).to_pydict()
    assert first["result_image_ids"] == [["x3", "x2"]]
    assert first["positives"] == [1]


def test_what_cannot_be_merged_is_refused() -> None:
    images = embedded(np.eye(3), ["a", "b", "c"], "x", request=["1", "2", "1"], empty=[None] * 3)
    gallery = embedded(np.eye(3), ["a", "b", "c"], "g")
    for column in ("absent", "empty"):
        with pytest.raises(LookalikeError, match=f"`merge_queries={column}`: queries have no such column"):
            merged_queries(images, gallery, column, exclude=None)
    with pytest.raises(LookalikeError, match=r"'1' has images of the items 'a' and 'c'; a query asks for one item"):
        merged_queries(images, gallery, "request", exclude=None)


def test_runs_that_merge_otherwise_are_not_comparable() -> None:
    def fingerprint(requests: list[str], **protocol: str) -> str:
        queries = embedded(np.eye(3), ["a", "a", "a"], "q", request=requests)
        gallery = embedded(np.eye(3), ["a", "b", "c"], "g")
        return about_queries(evaluate_embedded(queries, gallery, Protocol(**protocol)).per_query)["fingerprint"]

    merged = {"merge_queries": "request"}
    one = fingerprint(["1", "2", "1"], **merged)
    assert one == fingerprint(["1", "2", "1"], **merged)
    assert one != fingerprint(["1", "2", "2"], **merged)
    assert one != fingerprint(["1", "2", "1"])
    assert "merge_queries" not in Protocol().to_dict()


def test_evaluate_merges_the_queries_of_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = pa.table(
        {
            "image_id": [f"x{row}" for row in range(24)],
            "item_id": [f"i{row % 4}" for row in range(24)],
            "is_query": [row < 12 for row in range(24)],
            "is_gallery": [row >= 12 for row in range(24)],
            "query_id": [row % 4 if row < 12 else None for row in range(24)],
            "vector": rng.standard_normal((24, 5)).astype(np.float32).tolist(),
        }
    )
    pq.write_table(table, tmp_path / "vectors.parquet")
    settings = EvaluateSettings(
        embeddings=str(tmp_path / "vectors.parquet"),
        output=str(tmp_path / "out"),
        merge_queries="query_id",
        resamples=0,
    )
    settings.check()
    evaluate(settings)
    queries = read_queries(tmp_path / "out" / "queries.parquet")
    assert queries["query_images"].to_pylist() == [3] * 4
    assert read_metrics(tmp_path / "out" / "metrics.json")["queries"] == 4
    assert (tmp_path / "out" / "report.html").exists()
