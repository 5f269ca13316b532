"""Slices: what they hold, which comes first, and how often chance is called a weakness."""

import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import ConfigError
from src.eval.intervals import cluster_intervals
from src.eval.slice_columns import default_columns, slice_values
from src.eval.slices import print_slices, slice_queries, write_slices


@pytest.fixture
def rng():
    return np.random.default_rng(19)


def table(rng, products: int = 60, weak: str | None = None, **columns) -> pa.Table:
    """Queries of products of three colours and two domains; those of the colour `weak` mostly fail."""
    product = np.repeat(np.arange(products), rng.integers(2, 6, products))
    color = np.array(["red", "green", "blue"], object)[product % 3]
    rate = np.where(color == weak, 0.2, 0.8) if weak else np.full(len(product), 0.7)
    hit = (rng.random(len(product)) < rate).astype(float)
    hit[rng.random(len(product)) < 0.05] = np.nan
    columns = {
        "image_id": [f"image-{n}" for n in range(len(product))],
        "product": [f"product-{n}" for n in product],
        "positives": np.where(np.isfinite(hit), rng.integers(1, 12, len(product)), 0),
        "recall@1": pa.array(hit, pa.float64(), mask=np.isnan(hit)),
        "mrr": pa.array(hit / 2, pa.float64(), mask=np.isnan(hit)),
        "color": color,
        "domain": rng.choice(["user", "catalogue"], len(product)),
        **{name: values(product) if callable(values) else values for name, values in columns.items()},
    }
    made = pa.table(
        {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    )
    return made.replace_schema_metadata({b"lookalike": json.dumps({"metrics": ["recall@1", "mrr"]})})


def test_a_slice_is_measured_as_its_queries_alone(rng) -> None:
    queries = table(rng)
    for found in slice_queries(queries, ["color", "domain"]):
        inside = np.array(queries[found.column].to_pylist(), object) == found.value
        values = np.column_stack([queries[name].to_numpy() for name in ("recall@1", "mrr")])[inside]
        assert found.intervals == cluster_intervals(values, queries["product"].to_numpy()[inside])
        rest = ~inside
        hits = queries["recall@1"].to_numpy()
        assert found.difference == pytest.approx(np.nanmean(hits[inside]) - np.nanmean(hits[rest]))
        assert found.low < found.difference < found.high


def test_a_weak_colour_comes_first_and_is_called_worse(rng, capsys) -> None:
    found = slice_queries(table(rng, weak="green"))
    assert (found[0].column, found[0].value, found[0].worse) == ("color", "green", True)
    assert found[0].high < 0
    assert not any(each.worse for each in found if each.column == "domain")
    print_slices(found, "recall@1", shown=2)
    printed = capsys.readouterr().out
    assert "color: green" in printed
    assert f"{len(found)} slices, 1 worse" in printed


def test_a_few_unlucky_queries_are_not_the_worst(rng) -> None:
    queries = table(rng, weak="green", brand=lambda product: np.where(product < 2, "rare", "common"))
    hits = queries["recall@1"].to_pylist()
    rare = [value == "rare" for value in queries["brand"].to_pylist()]
    hits = [0.0 if unlucky else hit for hit, unlucky in zip(hits, rare, strict=True)]
    queries = queries.set_column(queries.column_names.index("recall@1"), "recall@1", pa.array(hits, pa.float64()))
    found = slice_queries(queries, ["color", "brand"])
    last = found[-1]
    assert (last.value, last.intervals[0].value, last.tiny, last.worse, last.p_value) == (
        "rare",
        0.0,
        True,
        False,
        None,
    )
    assert found[0].value == "green"


def test_chance_is_seldom_called_a_weakness() -> None:
    alarms = 0
    for number in range(80):
        rng = np.random.default_rng(number)
        queries = table(rng, 80, brand=lambda product: [f"brand-{n % 11}" for n in product])
        alarms += any(each.worse for each in slice_queries(queries, ["color", "domain", "brand"]))
    # One-sided and corrected over 16 slices: 2.5 of 100 families at most, and 2 errors of Monte Carlo.
    assert alarms / 80 <= 0.06


def test_a_slice_whose_products_are_all_alike_is_not_sure_of_it(rng) -> None:
    # Five of five fail where half of the others do: one in 32 of such slices.
    product = np.arange(105)
    hits = np.where(product < 5, 0.0, product % 2)
    queries = table(rng, 105).slice(0, 105)
    queries = queries.set_column(queries.column_names.index("recall@1"), "recall@1", pa.array(hits, pa.float64()))
    names = pa.array([f"product-{n}" for n in product])
    queries = queries.set_column(queries.column_names.index("product"), "product", names)
    queries = queries.append_column("brand", pa.array(np.where(product < 5, "five", "rest")))
    five = next(each for each in slice_queries(queries, ["brand"]) if each.value == "five")
    assert not five.tiny
    assert five.p_value > 0.01


def test_columns_become_slices(rng) -> None:
    numbers = pa.chunked_array([pa.array([*map(float, range(1, 41)), None, float("nan")])])
    words, codes = slice_values(numbers, "price")
    assert words == ["up to 10.75", "above 10.75, up to 20.5", "above 20.5, up to 30.25", "above 30.25"]
    assert np.bincount(codes[:40]).tolist() == [10, 10, 10, 10]
    assert codes[40:].tolist() == [-1, -1]
    words, codes = slice_values(pa.chunked_array([pa.array([1, 2, 4, 5, 10, 300, 0])]), "positives")
    assert words == ["1", "2 to 4", "5 to 9", "10 or more"]
    assert codes.tolist() == [0, 1, 1, 2, 3, 3, -1]
    assert slice_values(pa.chunked_array([pa.array([3, 1, 3])]), "floor")[0] == ["1", "3"]
    days = [datetime.datetime(2024, 1, day, tzinfo=datetime.UTC) for day in (1, 2, 3, 4)]
    words, codes = slice_values(pa.chunked_array([pa.array([*days, None], pa.timestamp("us", tz="UTC"))]), "listed_at")
    assert words == ["old (before 2024-01-03)", "new (2024-01-03 or later)"]
    assert codes.tolist() == [0, 0, 1, 1, -1]
    words, codes = slice_values(pa.chunked_array([pa.array(["b", None, "a"])]), "brand")
    assert (words, codes.tolist()) == (["a", "b"], [1, -1, 0])
    words, codes = slice_values(pa.chunked_array([pa.array([True, None, False])]), "in_stock")
    assert (words, codes.tolist()) == (["false", "true"], [1, -1, 0])
    equal = slice_values(pa.chunked_array([pa.array([7.0] * 20 + [*range(8, 19)])]), "price")
    assert sorted(set(equal[1])) == list(range(len(equal[0])))
    for empty in (pa.nulls(3), pa.nulls(3, pa.string()), pa.nulls(3, pa.float64()), pa.nulls(3, pa.timestamp("s"))):
        words, codes = slice_values(pa.chunked_array([empty]), "x")
        assert (words, codes.tolist()) == ([], [-1, -1, -1])


def test_the_default_is_what_the_catalogue_has(rng) -> None:
    queries = table(
        rng,
        title=lambda product: [f"a long title {n}" for n in range(len(product))],
        parent_id=lambda product: [f"parent-{n % 3}" for n in product],
        nothing=lambda product: pa.nulls(len(product), pa.string()),
        same=lambda product: ["x"] * len(product),
        sharpness=lambda product: np.arange(len(product)) / 3,
        result_image_ids=lambda product: [["a"]] * len(product),
    )
    names = [name for name in default_columns(queries) if name != "title"]
    assert names == ["positives", "color", "domain", "sharpness"]


def test_slices_that_make_no_sense_are_refused(rng) -> None:
    queries = table(rng, 300, title=lambda product: [f"title {n}" for n in range(len(product))])
    with pytest.raises(ConfigError, match="`slices`: no column shape; the queries have image_id, product"):
        slice_queries(queries, ["color", "shape"])
    with pytest.raises(ConfigError, match=r"column title has \d+ values; slices need at most 200"):
        slice_queries(queries, ["title"])
    lists = queries.append_column("lists", pa.array([["a"]] * len(queries)))
    with pytest.raises(ConfigError, match=r"column lists holds list<.*>; give columns of plain values"):
        slice_queries(lists, ["lists"])


def test_the_file_has_all_of_it_in_order(rng, tmp_path: Path) -> None:
    found = slice_queries(table(rng, 20, shelf=lambda product: np.where(product < 1, "one", None)))
    write_slices(found, ["recall@1", "mrr"], tmp_path / "deep" / "slices.parquet")
    rows = pq.read_table(tmp_path / "deep" / "slices.parquet").to_pylist()
    assert [(row["column"], row["value"]) for row in rows] == [(each.column, each.value) for each in found]
    assert [row["mrr_low"] for row in rows] == [each.intervals[1].low for each in found]
    write_slices([], ["recall@1"], tmp_path / "none.parquet")
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
    print_slices([], "recall@1")
