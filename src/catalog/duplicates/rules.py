"""What is done with duplicates: mark them, keep the oldest image, or bring their items together."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from src.catalog.duplicates.groups import DuplicateGroups, group_duplicates
from src.contracts.errors import ConfigError

__all__ = ["RULES", "Resolved", "oldest_first", "resolve_duplicates"]

RULES = ("mark", "keep_oldest", "merge")


@dataclass(frozen=True)
class Resolved:
    """A catalogue after a rule.

    Attributes:
        kept: its rows, with `duplicate_of`, the image id of the group's representative; null for those that represent
            and for images without a duplicate. After `merge`, `item_id` is the merged item's and `merged_from` the one
            before, null where it is the same.
        dropped: rows that the rule took out, with `duplicate_of`: those of `kept` and these are all rows.
        groups: the groups behind it.
        not_merged: with `merge`, representatives of groups that were left alone, since they span more than `max_items`
            items.
    """

    kept: pa.Table
    dropped: pa.Table
    groups: DuplicateGroups
    not_merged: tuple[str, ...] = ()


def resolve_duplicates(items: pa.Table, pairs: pa.Table, rule: str, *, max_items: int = 5) -> Resolved:
    """Group the duplicates of a catalogue and apply a rule. The order of rows stays.

    Args:
        items: `image_id`, `item_id`; `listed_at`, where it is there, says which image is the oldest.
        pairs: `image_id` and `other_id`; images that `items` lacks are passed over.
        rule: `mark` only says which image it is a duplicate of; `keep_oldest` takes the duplicates out; `merge` keeps
            all images and puts those of a group under the item of the oldest.
        max_items: with `merge`, groups that span more items are left alone: they are placeholders, and a shop's whole
            catalogue might become one item.

    Returns:
        The rows and the groups.

    Raises:
        ConfigError: an unknown rule.
    """
    if rule not in RULES:
        raise ConfigError(f"`duplicates.rule={rule}`: must be one of {', '.join(RULES)}")
    known = pc.and_(*(pc.is_in(pairs[name], items["image_id"].combine_chunks()) for name in ("image_id", "other_id")))
    groups = group_duplicates(pairs.filter(known), oldest_first(items))
    place = pc.index_in(items["image_id"], groups.members["image_id"].combine_chunks())
    representative = groups.members["representative_id"].combine_chunks().take(place.combine_chunks())
    copies = pc.fill_null(pc.not_equal(representative, items["image_id"]), False)
    marked = items.append_column("duplicate_of", pc.if_else(copies, representative, pa.scalar(None, pa.string())))
    if rule == "keep_oldest":
        return Resolved(kept=marked.filter(pc.invert(copies)), dropped=marked.filter(copies), groups=groups)
    if rule == "mark":
        return Resolved(kept=marked, dropped=marked.slice(0, 0), groups=groups)
    merged, left = _merged(marked, representative, max_items)
    return Resolved(kept=merged, dropped=merged.slice(0, 0), groups=groups, not_merged=left)


def oldest_first(items: pa.Table) -> pa.Array:
    """Image ids by `listed_at`, those without it last; equal ones by their id."""
    columns = {"image_id": items["image_id"]}
    if "listed_at" in items.column_names:
        columns["listed_at"] = items["listed_at"]
    order = pc.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in reversed(columns)])
    return items["image_id"].take(order).combine_chunks()


def _merged(items: pa.Table, representative: pa.Array, max_items: int) -> tuple[pa.Table, tuple[str, ...]]:
    """Items that share a group are one item, also over several groups: that of the oldest image."""
    grouped = pc.is_valid(representative)
    rows = pa.table({"group": representative.filter(grouped), "item": items["item_id"].filter(grouped)})
    counts = rows.group_by("group").aggregate([("item", "count_distinct")])
    left = counts.filter(pc.greater(counts["item_count_distinct"], max_items))["group"].combine_chunks()
    rows = rows.filter(pc.invert(pc.is_in(rows["group"], left)))
    # Every item of a group, with the group's representative's.
    owner = items["item_id"].take(pc.index_in(rows["group"], items["image_id"].combine_chunks()))
    linked = pa.table({"image_id": rows["item"], "other_id": owner})
    linked = linked.filter(pc.not_equal(linked["image_id"], linked["other_id"]))
    by_age = items["item_id"].take(pc.index_in(oldest_first(items), items["image_id"].combine_chunks()))
    merged = group_duplicates(linked, pc.unique(by_age)).members
    place = pc.index_in(items["item_id"], merged["image_id"].combine_chunks()).combine_chunks()
    item = pc.coalesce(merged["component_id"].combine_chunks().take(place), items["item_id"])
    changed = pc.not_equal(item, items["item_id"])
    before = pc.if_else(changed, items["item_id"], pa.scalar(None, pa.string()))
    at = items.column_names.index("item_id")
    return items.set_column(at, "item_id", item).append_column("merged_from", before), tuple(sorted(left.to_pylist()))
