"""Events joined to the impressions that they came of."""

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from src.catalog.clicks.impressions import read_impressions
from src.contracts.errors import TableError
from src.contracts.tables import EVENTS, INTERACTIONS


def log_of(*events: tuple[str, str, str, int, str]) -> pa.Table:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    names = ("session_id", "query_image_id", "item_id", "rank", "event")
    rows = [
        {"event_at": start + timedelta(seconds=n), "variant": None, **dict(zip(names, event, strict=True))}
        for n, event in enumerate(events)
    ]
    return pa.Table.from_pylist(rows, schema=INTERACTIONS)


def named(found) -> set[tuple]:
    return {
        (found.query_ids[q], found.item_ids[i], int(r), EVENTS[e])
        for q, i, r, e in zip(found.queries, found.items, found.ranks, found.events, strict=True)
    }


def test_the_furthest_event_counts_and_order_does_not() -> None:
    events = [
        ("s", "q", "a", 1, "impression"),
        ("s", "q", "b", 2, "impression"),
        ("s", "q", "b", 2, "purchase"),
        ("s", "q", "b", 2, "click"),
        ("s", "q", "b", 2, "click"),
        ("s", "q", "b", 2, "cart"),
        ("t", "q", "b", 1, "impression"),
    ]
    expected = {("q", "a", 1, "impression"), ("q", "b", 2, "purchase"), ("q", "b", 1, "impression")}
    for order in (events, events[::-1]):
        found = read_impressions(log_of(*order))
        assert named(found) == expected
        assert len(found) == 3
        assert found.clicked.sum() == 1
        assert len(set(found.pages.tolist())) == 2
        assert len(set(found.pairs.tolist())) == 2


def test_pages_are_told_apart_by_session_and_query() -> None:
    found = read_impressions(log_of(*((s, q, "a", 1, "impression") for s in "stu" for q in "pq")))
    assert len(set(found.pages.tolist())) == 6


def test_an_event_without_its_impression_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = read_impressions(
            log_of(("s", "q", "a", 1, "impression"), ("s", "q", "b", 2, "click"), ("s", "q", "a", 3, "click"))
        )
    assert named(found) == {("q", "a", 1, "impression")}
    assert "2 results were clicked without having been logged as shown" in caplog.text


def test_an_empty_log_has_no_impressions() -> None:
    found = read_impressions(INTERACTIONS.empty_table())
    assert len(found) == len(found.query_ids) == len(found.pairs) == 0


def test_what_is_no_log_is_refused() -> None:
    with pytest.raises(TableError, match="session_id"):
        read_impressions(pa.table({"item_id": ["a"]}))


def test_against_a_slow_reference(shop_log: pa.Table) -> None:
    furthest: dict[tuple, int] = {}
    for row in shop_log.to_pylist():
        key = (row["session_id"], row["query_image_id"], row["item_id"], row["rank"])
        furthest[key] = max(furthest.get(key, 0), EVENTS.index(row["event"]))
    found = read_impressions(shop_log)
    assert len(found) == len(furthest)
    assert named(found) == {(q, i, r, EVENTS[e]) for (_, q, i, r), e in furthest.items()}
    assert sorted(np.bincount(found.events)) == sorted(np.bincount(list(furthest.values())))
