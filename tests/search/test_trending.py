"""Items that sell, by category and over all."""

from pathlib import Path

from src.contracts.bundle import ENCODER, open_bundle, staged_bundle
from src.search.trending import Trending


def test_categories_are_listed_in_turn_and_all_by_their_scores() -> None:
    entries = {
        "shoes": [{"item_id": "s1", "score": 9}, {"item_id": "s2", "score": 2}],
        "bags": [{"item_id": "b1", "score": 9.5}, {"item_id": "b2", "score": 2}],
    }
    trending = Trending(entries)
    assert trending.items() == ["b1", "s1", "b2", "s2"]
    assert trending.items(["shoes", "bags", "hats"]) == ["b1", "b2", "s1", "s2"]
    assert trending.items({"hats"}) == []


def test_nothing_sells_in_a_bundle_without_the_file(tmp_path: Path) -> None:
    with staged_bundle(tmp_path / "bundle") as draft:
        (draft.root / ENCODER).write_bytes(b"")
    assert Trending.of(open_bundle(tmp_path / "bundle")).items() == []
