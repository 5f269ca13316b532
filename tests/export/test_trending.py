"""The most wanted items of each category, counted by hand."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from src.contracts.tables import INTERACTIONS
from src.export.trending import trending

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ITEMS = pa.table(
    {
        "item_id": ["a", "a", "b", "c", "d", "e"],
        "category": ["shoes", "shoes", "shoes", "bags", "shoes", None],
        "split": ["train", "train", "train", "all", "test", "train"],
    }
)


def log(*events: tuple[str, str, int]) -> pa.Table:
    rows = [
        {
            "event_at": NOW - timedelta(days=days),
            "session_id": "s",
            "query_image_id": "q",
            "item_id": item,
            "rank": 1,
            "event": event,
            "variant": "A",
        }
        for item, event, days in events
    ]
    return pa.Table.from_pylist(rows, schema=INTERACTIONS)


def test_purchases_weigh_more_than_clicks_and_other_splits_and_old_events_do_not_count() -> None:
    events = log(
        *[("a", "click", 1)] * 4,
        ("b", "purchase", 2),
        ("b", "cart", 2),
        ("c", "click", 0),
        ("c", "impression", 0),
        *[("a", "purchase", 31)] * 9,
        *[("d", "purchase", 0)] * 9,
        *[("e", "purchase", 0)] * 9,
    )
    assert trending(ITEMS, events) == {
        "days": 30,
        "until": NOW.isoformat(),
        "categories": {
            "bags": [{"item_id": "c", "score": 1}],
            "shoes": [{"item_id": "b", "score": 13}, {"item_id": "a", "score": 4}],
        },
    }


def test_ties_go_by_id_and_impressions_make_nothing_trend() -> None:
    events = log(("b", "click", 0), ("a", "click", 1), ("c", "impression", 0))
    found = trending(ITEMS, events)
    assert found["categories"] == {"shoes": [{"item_id": "a", "score": 1}, {"item_id": "b", "score": 1}]}


def test_no_log_and_an_empty_log_are_no_trend() -> None:
    empty = {"days": 30, "until": None, "categories": {}}
    assert trending(ITEMS, None) == trending(ITEMS, log()) == trending(ITEMS, log(("d", "click", 0))) == empty
