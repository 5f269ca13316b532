"""`trending.json`: what sold when the bundle was made."""

import json
from collections.abc import Iterable, Mapping

from src.contracts.bundle import TRENDING, Bundle

__all__ = ["Trending"]


class Trending:
    """The most wanted items of each category, as the export ranked them."""

    def __init__(self, categories: Mapping[str, list[dict[str, object]]]) -> None:
        """Rank over categories, too.

        Args:
            categories: by name, entries of `item_id` and `score`, the best first.
        """
        self._of = {name: [str(entry["item_id"]) for entry in entries] for name, entries in categories.items()}
        everything = [
            (-float(str(entry["score"])), str(entry["item_id"])) for one in categories.values() for entry in one
        ]
        self._overall = [item_id for _, item_id in sorted(everything)]

    @classmethod
    def of(cls, bundle: Bundle) -> "Trending":
        """A bundle's; nothing trends in one that has no such file."""
        if TRENDING not in bundle.content["files"]:
            return cls({})
        return cls(json.loads(bundle.path(TRENDING).read_text())["categories"])

    def items(self, categories: Iterable[str] = ()) -> list[str]:
        """Ids of items, best first: of these categories in turn, or of all where none is named."""
        asked = sorted(categories)
        if not asked:
            return self._overall
        return [item_id for name in asked for item_id in self._of.get(name, [])]
