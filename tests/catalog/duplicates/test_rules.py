"""Rules lose no row, keep the oldest image, and do not make one item of a catalogue."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from src.catalog.duplicates.rules import RULES, resolve_duplicates
from src.contracts.errors import ConfigError


def items_of(*rows: tuple[str, str, int | None]) -> pa.Table:
    """Rows of (image, item, day of January)."""
    days = [None if day is None else datetime(2026, 1, day, tzinfo=UTC) for _, _, day in rows]
    return pa.table(
        {
            "image_id": [image for image, _, _ in rows],
            "item_id": [item for _, item, _ in rows],
            "listed_at": pa.array(days, pa.timestamp("us", tz="UTC")),
        }
    )


def pairs_of(*pairs: str) -> pa.Table:
    return pa.table({"image_id": [pair[0] for pair in pairs], "other_id": [pair[1] for pair in pairs]})


ITEMS = items_of(("a", "A", 3), ("b", "B", 1), ("c", "C", None), ("d", "D", 2), ("e", "A", 4))


@pytest.mark.parametrize("rule", RULES)
def test_every_row_is_kept_or_dropped(rule: str) -> None:
    done = resolve_duplicates(ITEMS, pairs_of("ab", "ac", "bc", "xy"), rule)
    both = done.kept["image_id"].to_pylist() + done.dropped["image_id"].to_pylist()
    assert sorted(both) == ["a", "b", "c", "d", "e"]


def test_the_oldest_stays() -> None:
    done = resolve_duplicates(ITEMS, pairs_of("ab", "ac", "bc"), "keep_oldest")
    assert done.kept["image_id"].to_pylist() == ["b", "d", "e"]
    assert done.dropped.select(["image_id", "duplicate_of"]).to_pylist() == [
        {"image_id": "a", "duplicate_of": "b"},
        {"image_id": "c", "duplicate_of": "b"},
    ]
    assert done.kept["duplicate_of"].null_count == 3


def test_marking_changes_nothing_else() -> None:
    done = resolve_duplicates(ITEMS, pairs_of("ad"), "mark")
    assert done.kept["duplicate_of"].to_pylist() == ["d", None, None, None, None]
    assert done.kept.drop_columns("duplicate_of").equals(ITEMS)


def test_items_are_merged_under_the_oldest_over_several_groups() -> None:
    # A and B share a picture; A and D share another: all three are one item, B, whose image is the oldest.
    done = resolve_duplicates(ITEMS, pairs_of("ab", "de"), "merge")
    assert done.kept["item_id"].to_pylist() == ["B", "B", "C", "B", "B"]
    assert done.kept["merged_from"].to_pylist() == ["A", None, None, "D", "A"]
    assert done.kept["image_id"].equals(ITEMS["image_id"])


def test_a_placeholder_merges_nothing() -> None:
    items = items_of(*((f"{n}", f"I{n}", n) for n in range(1, 8)))
    done = resolve_duplicates(items, pairs_of("12", "13", "14", "15", "67"), "merge", max_items=4)
    assert done.not_merged == ("1",)
    assert done.kept["item_id"].to_pylist() == ["I1", "I2", "I3", "I4", "I5", "I6", "I6"]


def test_without_dates_ids_decide() -> None:
    done = resolve_duplicates(ITEMS.drop_columns("listed_at"), pairs_of("ab"), "keep_oldest")
    assert done.kept["image_id"].to_pylist() == ["a", "c", "d", "e"]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"duplicates.rule=drop`: must be one of mark, keep_oldest, merge"):
        resolve_duplicates(ITEMS, pairs_of("ab"), "drop")
