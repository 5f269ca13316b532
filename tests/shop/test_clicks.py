import json
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from src.contracts.tables import validate_interactions
from src.shop import EXAMINATION, RELEVANCE
from src.shop.clicks import grade, interactions_table
from src.shop.listing import items_table
from src.shop.products import plan_products


@pytest.fixture(scope="module")
def market():
    products = plan_products(60, 2)
    items = items_table(products, 2)
    return items, interactions_table(products, items, sessions=4000, seed=2)


@pytest.fixture(scope="module")
def events(market):
    return _graded(*market)


@pytest.fixture(scope="module")
def rows(market):
    return market[1].to_pylist()


def _graded(items: pa.Table, log: pa.Table) -> list[tuple[int, str, int, str]]:
    """(rank, event, grade, variant) of each event; the grade from the items table alone."""
    facts = {r["item_id"]: (r["parent_id"], r["category"]) for r in items.to_pylist()}
    shown = dict(zip(items["image_id"].to_pylist(), items["item_id"].to_pylist(), strict=True))
    found = []
    for row in log.to_pylist():
        query, item = shown[row["query_image_id"]], row["item_id"]
        level = (
            3 if query == item else 2 if facts[query][0] == facts[item][0] else int(facts[query][1] == facts[item][1])
        )
        found.append((row["rank"], row["event"], level, row["variant"]))
    return found


def test_grades():
    assert grade(np.array([0, 0, 1, 2]), np.array([5, 5, 5, 6]), 0).tolist() == [3, 2, 1, 0]


def test_log_keeps_the_schema_and_is_ordered(shop):
    assert validate_interactions(shop.log).select(shop.log.column_names).equals(shop.log)
    times = shop.log["event_at"].to_pylist()
    assert times == sorted(times)
    assert len(set(shop.log["session_id"].to_pylist())) == 400


def test_click_rates_follow_the_model(events):
    seen, clicked = Counter(), Counter()
    for rank, event, level, _ in events:
        seen[rank, level] += event == "impression"
        clicked[rank, level] += event == "click"
    checked = 0
    for (rank, level), count in seen.items():
        p = EXAMINATION[rank - 1] * RELEVANCE[level]
        if count * p > 10:
            deviation = abs(clicked[rank, level] / count - p) / np.sqrt(p * (1 - p) / count)
            assert deviation < 4, (rank, level)
            checked += 1
    assert checked >= 15


def test_the_right_item_is_often_but_not_always_first(events):
    first = [level for rank, event, level, _ in events if rank == 1 and event == "impression"]
    assert 0.3 < np.mean(np.array(first) == 3) < 0.85


def test_funnel_and_order_within_sessions(rows):
    counts = Counter(row["event"] for row in rows)
    assert counts["impression"] == 40_000
    assert counts["impression"] > counts["click"] > counts["cart"] > counts["purchase"] > 0
    before = {"click": "impression", "cart": "click", "purchase": "cart"}
    at = {(r["session_id"], r["item_id"], r["event"]): r["event_at"] for r in rows}
    for (session, item, event), time in at.items():
        if event in before:
            assert at[session, item, before[event]] < time


def test_ranks_and_sessions_are_whole(market, rows):
    items, _ = market
    ranks, queries, variants = defaultdict(list), defaultdict(set), defaultdict(set)
    for row in (row for row in rows if row["event"] == "impression"):
        ranks[row["session_id"]].append(row["rank"])
        queries[row["session_id"]].add(row["query_image_id"])
        variants[row["session_id"]].add(row["variant"])
    assert all(sorted(found) == list(range(1, 11)) for found in ranks.values())
    assert all(len(found) == 1 for found in [*queries.values(), *variants.values()])
    asked = {image for found in queries.values() for image in found}
    users = items.filter(pc.equal(items["domain"], "user"))["image_id"].to_pylist()
    assert asked <= set(users)


def test_nothing_is_shown_before_it_was_listed(market, rows):
    items, _ = market
    listed = dict(zip(items["item_id"].to_pylist(), items["listed_at"].to_pylist(), strict=True))
    assert all(row["event_at"] >= listed[row["item_id"]] for row in rows)


def test_variants_have_no_effect(events):
    counts = Counter((variant, event) for _, event, _, variant in events)
    rates = {v: counts[v, "click"] / counts[v, "impression"] for v in "AB"}
    pooled = np.mean(list(rates.values()))
    error = np.sqrt(2 * pooled * (1 - pooled) / 20_000)
    assert abs(rates["A"] - rates["B"]) < 4 * error
    assert abs(counts["A", "impression"] - counts["B", "impression"]) < 0.07 * 40_000


def test_the_manifest_tells_the_truth(shop):
    model = json.loads((shop.root / "shop.json").read_text())["click_model"]
    assert model["examination"] == [pytest.approx(1 / r**0.8) for r in range(1, 11)]
    assert list(model["relevance"].values()) == [0.03, 0.12, 0.5, 0.9]


def test_no_sessions_make_an_empty_log():
    products = plan_products(20, 0)
    log = interactions_table(products, items_table(products, 0), sessions=0, seed=0)
    assert log.num_rows == 0
    validate_interactions(log)
