from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest

from src.contracts.tables import ITEMS, validate_items
from src.shop.palette import COLORS
from src.shop.patterns import LATE_STYLES
from src.shop.products import plan_products


def test_table_keeps_the_schema(shop):
    assert validate_items(shop.items).equals(shop.items)
    assert shop.items.schema.names[: len(ITEMS)] == ITEMS.names
    assert {"split", "is_query", "is_gallery", "mask", "style", "twin_id", "view"} <= set(shop.items.column_names)
    for name in set(shop.items.column_names) - {"twin_id"}:
        assert shop.items[name].null_count == 0, name


def test_every_file_is_there_and_no_other(shop):
    named = {path for name in ("image", "mask") for path in shop.items[name].to_pylist()}
    there = {str(p.relative_to(shop.root)) for p in shop.root.rglob("*") if p.is_file()}
    assert there == named | {"items.parquet", "interactions.parquet", "shop.json"}


def test_at_least_ten_categories(shop):
    assert len(set(shop.items["category"].to_pylist())) >= 10


def test_variants_share_a_parent_and_differ_in_colour(shop):
    colors = defaultdict(set)
    items = defaultdict(set)
    for row in shop.rows():
        colors[row["parent_id"]].add(row["color"])
        items[row["parent_id"]].add(row["item_id"])
    assert len(items) == 30
    for parent in items:
        assert 1 <= len(items[parent]) <= 4
        assert len(colors[parent]) == len(items[parent])
        assert colors[parent] <= set(COLORS)


def test_two_domains_with_two_to_four_images_each(shop):
    views = defaultdict(list)
    for row in shop.rows():
        views[row["item_id"], row["domain"]].append(row["view"])
        assert row["is_query"] == (row["domain"] == "user")
        assert row["is_gallery"] == (row["domain"] == "catalogue")
    assert len(views) == 2 * len(set(shop.items["item_id"].to_pylist()))
    for (_, domain), found in views.items():
        assert 2 <= len(found) <= 4
        if domain == "catalogue":
            assert "front" in found
            assert len(set(found)) == len(found)


def test_splits_are_disjoint_by_product_and_keep_twins_together(shop):
    splits = defaultdict(set)
    for row in shop.rows():
        splits[row["parent_id"]].add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    by_number = {product.number: product for product in shop.products}
    for product in shop.products:
        if product.twin is not None:
            assert by_number[product.twin].split == product.split


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_split_shares(seed):
    products = plan_products(100, seed)
    shares = {split: sum(p.split == split for p in products) / 100 for split in ("train", "val", "test")}
    assert shares == {"train": 0.7, "val": 0.1, "test": 0.2}


def test_twins_are_linked_both_ways_and_share_everything_listed(shop):
    rows = {row["item_id"]: row for row in shop.rows()}
    paired = [row for row in rows.values() if row["twin_id"] is not None]
    assert paired
    for row in paired:
        twin = rows[row["twin_id"]]
        assert twin["twin_id"] == row["item_id"]
        assert twin["parent_id"] != row["parent_id"]
        for name in ("category", "brand", "color", "price", "split"):
            assert twin[name] == row[name], name


def test_new_styles_come_in_the_last_two_months_only():
    products = plan_products(400, 3)
    november = datetime(2025, 11, 1, tzinfo=UTC)
    late = [p for p in products if p.listed_at >= november]
    novel = [p for p in products if p.style in LATE_STYLES]
    assert novel
    assert all(p.listed_at >= november for p in novel)
    assert 0.3 < len(novel) / len(late) < 0.7
    assert all(p.listed_at.year == 2025 for p in products)
    assert {p.listed_at.month for p in products} == set(range(1, 13))


def test_prices_are_lognormal_about_their_category():
    products = [p for p in plan_products(1000, 0) if p.category == "mug"]
    logs = np.log([p.price / p.brand.price for p in products])
    assert abs(np.median(logs) - np.log(14)) < 0.2
    assert 0.2 < logs.std() < 0.4
