import itertools
import random

import numpy as np
import pyarrow as pa
import pytest

from serve.bundle.filters import Filters
from src.index.filters import FilterColumns
from tests.serve.small_bundle import BRANDS, CATEGORIES, COLORS, catalogue, picture


def passes(row: dict, filters: dict) -> bool:
    """What a filter means, said once more: all conditions, any value of a condition, null never."""
    for name in ("category", "brand", "color"):
        if filters.get(name) and (row[name] is None or row[name] not in filters[name]):
            return False
    price = row["price"]
    if "price_min" in filters and (price is None or not price >= filters["price_min"]):
        return False
    if "price_max" in filters and (price is None or not price <= filters["price_max"]):
        return False
    return "in_stock" not in filters or row["in_stock"] is filters["in_stock"]


def some_filters(count: int) -> list[dict]:
    rng = random.Random(3)
    drawn = []
    for _ in range(count):
        filters: dict = {}
        for name, values in (("category", CATEGORIES), ("brand", BRANDS), ("color", COLORS)):
            if rng.random() < 0.4:
                known = [value for value in values if value is not None]
                filters[name] = rng.sample([*known, "unheard of"], rng.randint(1, 3))
        if rng.random() < 0.4:
            filters["price_min"] = round(rng.uniform(0, 150), 2)
        if rng.random() < 0.4:
            filters["price_max"] = round(filters.get("price_min", 0) + rng.uniform(0, 100), 2)
        if rng.random() < 0.4:
            filters["in_stock"] = rng.random() < 0.5
        drawn.append(filters)
    return drawn


@pytest.mark.parametrize("filters", some_filters(40), ids=str)
def test_search_returns_every_item_that_passes_and_no_other(client, shop, filters):
    expected = {row["item_id"] for row in shop.rows() if passes(row, filters)}
    fields = {name: str(value).lower() if name == "in_stock" else value for name, value in filters.items()}
    response = client.post("/v1/search", files={"image": ("p", picture(3))}, data={**fields, "k": 100})
    assert {result["item_id"] for result in response.json()["results"]} == expected


def test_form_and_query_values_are_joined(client, shop):
    response = client.post(
        "/v1/search", params={"k": 100, "color": "red"}, files={"image": ("p", picture(3))}, data={"color": "blue"}
    )
    colors = {result["color"] for result in response.json()["results"]}
    assert colors == {"red", "blue"}


def columns(rows: list[dict]) -> FilterColumns:
    schema = pa.schema(
        [
            *[(name, pa.string()) for name in ("category", "brand", "color")],
            ("price", pa.float64()),
            ("in_stock", pa.bool_()),
        ]
    )
    return FilterColumns(pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema))


def test_nothing_asked_for_is_no_mask():
    assert columns(catalogue(5)).mask(Filters().conditions()) is None


def test_mask_of_ugly_values():
    prices = [None, float("nan"), float("inf"), -1.0, 0.0, 5.0]
    rows = [
        {"category": category, "brand": None, "color": None, "price": price, "in_stock": None}
        for category, price in itertools.product((None, "", "a"), prices)
    ]
    made = columns(rows)
    for filters in ({"price_min": 0.0}, {"price_max": 5.0}, {"price_min": -1.0, "price_max": 0.0}, {"category": ["a"]}):
        asked = Filters(**{k: frozenset(v) if isinstance(v, list) else v for k, v in filters.items()})
        np.testing.assert_array_equal(made.mask(asked.conditions()), [passes(row, filters) for row in rows])
    assert not made.mask(Filters(in_stock=False).conditions()).any()
    assert not made.mask(Filters(brand=frozenset({"acme"})).conditions()).any()


def test_mask_of_no_rows():
    assert columns([]).mask(Filters(in_stock=True, price_min=1.0).conditions()).shape == (0,)
