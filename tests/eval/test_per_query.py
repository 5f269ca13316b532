"""The table of queries: all of metrics.json follows from it, and two tables know whether they can be compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import TableError
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.per_query import about_queries, read_queries, write_queries
from src.eval.protocol import Protocol


def shop(seed: int = 0, images: int = 60, **columns: list) -> Embedded:
    rng = np.random.default_rng(seed)
    items = [f"item-{n}" for n in rng.integers(0, 25, images)]
    attributes = {
        "image_id": [f"image-{n}" for n in range(images)],
        "item_id": items,
        "parent_id": [f"parent-{int(item[5:]) // 2}" if int(item[5:]) < 20 else None for item in items],
        "category": [f"category-{int(item[5:]) % 3}" for item in items],
        "price": rng.random(images).tolist(),
        "split": ["val"] * images,
        "positives": [7] * images,
        **columns,
    }
    ids = (np.array(attributes[name], object) for name in ("image_id", "item_id"))
    return Embedded(rng.standard_normal((images, 6)).astype(np.float32), *ids, pa.table(attributes))


@pytest.fixture
def evaluation():
    everything = shop()
    return evaluate_embedded(everything.take(np.arange(40)), everything)


def test_the_metrics_are_averages_over_the_table(evaluation) -> None:
    table = evaluation.per_query
    names = about_queries(table)["metrics"]
    assert names == [name for name in evaluation.metrics if not name.startswith("queries")]
    for name in names:
        assert pc.mean(table[name]).as_py() == pytest.approx(evaluation.metrics[name], abs=1e-15)
        assert table[name].type == pa.float64()
        # No value where there is no positive.
        assert pc.is_null(table[name]).to_pylist() == pc.equal(table["positives"], 0).to_pylist()
    assert pc.sum(pc.equal(table["positives"], 0)).as_py() == evaluation.metrics["queries_without_positives"]
    assert evaluation.metrics["queries_without_positives"] > 0


def test_a_row_says_what_was_asked_and_found(evaluation) -> None:
    table, queries, gallery = evaluation.per_query, evaluation.queries, evaluation.gallery
    assert table["image_id"].to_pylist() == queries.image_ids.tolist()
    parents = queries.attributes["parent_id"].to_pylist()
    assert None in parents
    expected = [parent or item for parent, item in zip(parents, queries.item_ids, strict=True)]
    assert table["product"].to_pylist() == expected
    assert table["price"] == queries.attributes["price"]
    assert "split" not in table.column_names
    assert table["positives"].to_pylist() == evaluation.ranking.positives.tolist()
    columns = ("parent_id", "category")
    known = {row["image_id"]: row for row in gallery.attributes.to_pylist()}
    for row, found in zip(table.to_pylist(), evaluation.ranking.top_rows, strict=True):
        found = found[found >= 0]
        assert row["result_image_ids"] == gallery.image_ids[found].tolist()
        assert row["result_item_ids"] == gallery.item_ids[found].tolist()
        assert row["image_id"] not in row["result_image_ids"]
        assert sorted(row["result_scores"], reverse=True) == row["result_scores"]
        grades = []
        for image in row["result_image_ids"]:
            parent, category = (known[image][name] == row[name] and row[name] is not None for name in columns)
            grades.append(3 if known[image]["item_id"] == row["item_id"] else 2 if parent else int(category))
        assert row["result_grades"] == grades


def test_without_attributes_the_product_is_the_item() -> None:
    everything = replace(shop(), attributes=None)
    table = evaluate_embedded(everything, everything).per_query
    assert table["product"] == table["item_id"]
    assert {grade for grades in table["result_grades"].to_pylist() for grade in grades} == {0, 3}


def test_the_file_says_what_was_evaluated(evaluation, tmp_path: Path) -> None:
    path = tmp_path / "new" / "queries.parquet"
    write_queries(evaluation.per_query, path, name="a", split="val", method="b", seed=3)
    assert [file.name for file in path.parent.iterdir()] == ["queries.parquet"]
    table = read_queries(path)
    assert table.equals(evaluation.per_query)
    written = about_queries(table)
    assert {name: written.pop(name) for name in ("name", "split", "method", "seed")} == {
        "name": "a",
        "split": "val",
        "method": "b",
        "seed": 3,
    }
    assert written == about_queries(evaluation.per_query)


def test_what_is_no_table_of_queries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queries.parquet"
    with pytest.raises(TableError, match=r"evaluate\.py writes queries\.parquet"):
        read_queries(path)
    pq.write_table(pa.table({"image_id": ["a"]}), path)
    with pytest.raises(TableError, match="not a table of queries"):
        read_queries(path)


def test_the_fingerprint_is_that_of_protocol_queries_and_gallery() -> None:
    everything = shop()
    queries = everything.take(np.arange(40))

    def fingerprint(queries: Embedded = queries, gallery: Embedded = everything, **settings: object) -> str:
        return about_queries(evaluate_embedded(queries, gallery, Protocol(**settings)).per_query)["fingerprint"]

    same = fingerprint()
    # Other vectors, and another order of the gallery: still comparable.
    assert fingerprint(replace(queries, vectors=queries.vectors[:, ::-1])) == same
    assert fingerprint(gallery=everything.take(np.arange(60)[::-1])) == same
    others = [
        fingerprint(level="image"),
        fingerprint(metrics={"recall": (1,)}),
        fingerprint(grades={"item_id": 3, "category": 1}),
        fingerprint(gallery=shop(category=["x"] * 60)),
        fingerprint(queries.take(np.arange(39))),
        fingerprint(queries.take(np.arange(40)[::-1])),
        fingerprint(gallery=everything.take(np.arange(59))),
        fingerprint(gallery=replace(everything, item_ids=np.roll(everything.item_ids, 1))),
        fingerprint(replace(queries, image_ids=np.array([f"{name}x" for name in queries.image_ids], object))),
    ]
    assert len({same, *others}) == 10
