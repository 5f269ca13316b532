"""Find all rows that cannot be used, before any work starts."""

from pathlib import Path

import pyarrow as pa

__all__ = ["audit_rows", "is_remote", "queries_without_gallery"]


def is_remote(image: str) -> bool:
    """Whether an image is a URI with a scheme rather than a path below the catalogue's root."""
    return "://" in image


def audit_rows(table: pa.Table, root: Path, *, files: bool = True) -> list[tuple[int, str]]:
    """Find rows without a label or an image, rows with a missing file, and repeated image ids.

    Args:
        table: `image_id`, `item_id`, `image`.
        root: folder of relative image paths. Remote images are not checked.
        files: whether to look for the files.

    Returns:
        (row counted from 0, what is wrong), in row order.
    """
    problems = []
    seen: dict[str, int] = {}
    columns = [table[name].to_pylist() for name in ("image_id", "item_id", "image")]
    for row, (image_id, item_id, image) in enumerate(zip(*columns, strict=True)):
        if not item_id:
            problems.append((row, "no label (item_id is empty)"))
        if not image:
            problems.append((row, "no image"))
        elif files and not is_remote(image) and not _is_file(root / image):
            problems.append((row, f"missing file {image}"))
        if not image_id:
            problems += [(row, "no image_id")] if image else []
        elif image_id in seen:
            problems.append((row, f"duplicate image_id {image_id!r}, first in row {seen[image_id] + 1}"))
        seen.setdefault(image_id, row)
    return problems


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # not a valid file name, such as a description in the wrong column
        return False


def queries_without_gallery(table: pa.Table) -> list[tuple[int, str]]:
    """Find queries whose item has no gallery image in the query's split.

    Rows that are both query and gallery (leave-one-out) are not checked: the evaluation counts items with a single
    image.

    Args:
        table: `item_id`, `split`, `is_query`, `is_gallery`.

    Returns:
        (row counted from 0, what is wrong), in row order.
    """
    rows = list(zip(*(table[name].to_pylist() for name in ("item_id", "split", "is_query", "is_gallery")), strict=True))
    gallery = {(item, split) for item, split, _, is_gallery in rows if is_gallery}
    return [
        (row, f"query without gallery: no gallery image of item {item!r} in split {split!r}")
        for row, (item, split, is_query, is_gallery) in enumerate(rows)
        if is_query
        and not is_gallery
        and split not in ("train", "none")
        and not {(item, split), (item, "all"), (item, "held_out")} & gallery
    ]
