"""What sells: the most wanted items of each category, for a page that has no query yet."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.contracts.tables import validate_interactions

__all__ = ["trending", "write_trending"]

_LOG = "interactions.parquet"
_DAYS = 30
_ITEMS = 20
_WORTH = {"click": 1, "cart": 3, "purchase": 10}


def write_trending(catalogue: Catalogue, path: Path) -> None:
    """Write `trending.json`; its categories are empty where the catalogue has no interactions log.

    Raises:
        TableError: the log cannot be read, or is no interactions table.
    """
    log = catalogue.root / _LOG
    try:
        table = validate_interactions(pq.read_table(log)) if log.is_file() else None
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{log}: cannot be read as Parquet ({error}); write it anew, or remove it") from error
    path.write_text(json.dumps(trending(catalogue.items, table), indent=1, sort_keys=True) + "\n")


def trending(items: pa.Table, interactions: pa.Table | None) -> dict[str, object]:
    """Rank the items of each category by what happened to them in the log's last 30 days.

    Only events of items in the training split count, so that nothing that is evaluated on shows here. A click is worth
    1, a cart 3, a purchase 10; ties go by item id. Where items stood on the page is not corrected for.

    Args:
        items: the catalogue's, with the columns `split` and `category`.
        interactions: the log; None where there is none.

    Returns:
        `days`, `until` (the last event that counts, ISO 8601, or null) and `categories`: by name, at most 20 of
        `{"item_id", "score"}`, the best first. Items without a category are left out.
    """
    found: dict[str, object] = {"days": _DAYS, "until": None, "categories": {}}
    if interactions is None:
        return found
    rows = zip(items["item_id"].to_pylist(), items["category"].to_pylist(), items["split"].to_pylist(), strict=True)
    category = {item: name for item, name, split in rows if split in ("train", "all") and name is not None}
    counts = interactions.filter(pc.is_in(interactions["item_id"], pa.array(list(category), pa.string())))
    if not len(counts):
        return found
    until = pc.max(counts["event_at"]).as_py()
    counts = counts.filter(
        pc.greater(counts["event_at"], pa.scalar(until - timedelta(days=_DAYS), counts["event_at"].type))
    )
    scores: dict[str, int] = {}
    for item, event in zip(counts["item_id"].to_pylist(), counts["event"].to_pylist(), strict=True):
        if event in _WORTH:
            scores[item] = scores.get(item, 0) + _WORTH[event]
    ranked: dict[str, list[dict[str, object]]] = {name: [] for name in sorted(set(category.values()))}
    for item, score in sorted(scores.items(), key=lambda entry: (-entry[1], entry[0])):
        if len(ranked[category[item]]) < _ITEMS:
            ranked[category[item]].append({"item_id": item, "score": score})
    return found | {"until": until.isoformat(), "categories": {name: best for name, best in ranked.items() if best}}
