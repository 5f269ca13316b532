"""What changed from one bundle to another: python -m src.export.diff OLD NEW."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from src.contracts.bundle import ITEMS_TABLE, Bundle, open_bundle
from src.contracts.exit_codes import exit_with_message

__all__ = ["diff", "main"]

_SHOWN = 5


def diff(old: Bundle, new: Bundle) -> Iterator[str]:
    """A line for each difference: encoder, preprocessing, index, other settings, items, figures."""
    if old.content["encoder_id"] != new.content["encoder_id"]:
        yield f"encoder: {old.content['encoder_id']} -> {new.content['encoder_id']}"
    for part in ("preprocessing", "index"):
        yield from _changed(part, old.content[part], new.content[part])
    settings = {"preprocessing", "index", "encoder_id", "files", "catalogue"}
    yield from _changed("", *({k: v for k, v in b.content.items() if k not in settings} for b in (old, new)))
    yield from _files(old.content["files"], new.content["files"])
    yield from _items(old.path(ITEMS_TABLE), new.path(ITEMS_TABLE))
    for part in ("evaluation", "parity", "engines", "index", "versions"):
        yield from _changed(f"measured {part}", old.measured.get(part, {}), new.measured.get(part, {}))


def _changed(name: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _changed(f"{name}.{key}" if name else str(key), old.get(key), new.get(key))
    elif old != new:
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (old, new))
        yield f"{name}: {_shown(old)} -> {_shown(new)}" + (f" ({new - old:+.4g})" if numbers else "")


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _files(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            yield f"file {name}: {'added' if before is None else 'removed'}"
        elif before["sha256"] != after["sha256"]:
            yield f"file {name}: {before['bytes']:,} -> {after['bytes']:,} bytes, other content"


def _items(old: Path, new: Path) -> Iterator[str]:
    """Images added and removed, and those of which a column changed."""
    before, after = pq.read_table(old), pq.read_table(new)
    place_before = {image: row for row, image in enumerate(before["image_id"].to_pylist())}
    place_after = {image: row for row, image in enumerate(after["image_id"].to_pylist())}
    for what, ids in (("added", place_after.keys() - place_before), ("removed", place_before.keys() - place_after)):
        if ids:
            yield f"items: {len(ids)} images {what}: {_few(ids)}"
    both = sorted(place_before.keys() & place_after)
    rows_before = np.array([place_before[image] for image in both], dtype=np.int64)
    rows_after = np.array([place_after[image] for image in both], dtype=np.int64)
    for name in sorted(set(before.column_names) | set(after.column_names)):
        if name not in before.column_names or name not in after.column_names:
            yield f"items: column {name} {'added' if name in after.column_names else 'removed'}"
            continue
        values = zip(before[name].take(rows_before).to_pylist(), after[name].take(rows_after).to_pylist(), strict=True)
        # NaN is like nothing, not even like itself.
        changed = [image for image, (a, b) in zip(both, values, strict=True) if a != b and (a == a or b == b)]
        if changed:
            yield f"items: {name} changed in {len(changed)} images: {_few(changed)}"


def _few(ids: Any) -> str:
    ordered = sorted(ids)
    return ", ".join(ordered[:_SHOWN]) + (", ..." if len(ordered) > _SHOWN else "")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m src.export.diff", description=__doc__)
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parsed = parser.parse_args(arguments)
    with exit_with_message():
        lines = list(diff(open_bundle(parsed.old), open_bundle(parsed.new)))
        print("\n".join(lines) or "the two bundles are the same")


if __name__ == "__main__":
    main()
