"""Whether searching for the dominant object finds more: python -m benchmarks.serving.regions --bundle DIR --table FILE.

Recall@1 of photos by their whole and by the box that `box=auto` takes, each against the same bundle, and the difference
with its 95 % interval (paired, normal). Where the table has masks, also by the mask's own box, which no detector beats,
and how much the proposed box overlaps it.
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from src.contracts.preprocessing import decode
from src.search.box import WHOLE, Box
from src.search.regions import open_detector
from src.search.searcher import Searcher


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.regions", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True, help="items.parquet, or a CSV with path, label, is_query")
    parser.add_argument("--split", help="only queries of this split")
    parser.add_argument("--detector", default="saliency")
    arguments = parser.parse_args()
    searcher = Searcher.open(arguments.bundle, threads=1)
    detector = open_detector(arguments.detector)
    queries = read_queries(arguments.table, arguments.split)
    hits: dict[str, list[bool]] = {"whole": [], "auto": [], "mask": []}
    overlaps, seconds, proposed = [], 0.0, 0
    for query in queries:
        pixels = decode((arguments.table.parent / query["image"]).read_bytes())
        started = time.perf_counter()
        found = detector.regions(pixels, 1)
        seconds += time.perf_counter() - started
        proposed += bool(found)
        boxes = {"whole": WHOLE, "auto": found[0].box if found else WHOLE}
        if query["mask"]:
            boxes["mask"] = mask_box(np.asarray(Image.open(arguments.table.parent / query["mask"])))
            overlaps.append(overlap(boxes["auto"], boxes["mask"]))
        for name, box in boxes.items():
            (hit,) = searcher.search(pixels, 1, box=box)
            hits[name].append(hit.row["item_id"] == query["item_id"])
    print(
        f"{len(queries)} photos, a box proposed for {100 * proposed / len(queries):.0f} %, "
        f"{1000 * seconds / len(queries):.2f} ms each\n"
    )
    print("| searched by | Recall@1 | less the whole photo | mean overlap with the mask's box |")
    print("| --- | ---: | ---: | ---: |")
    whole = np.array(hits["whole"], float)
    for name, found_by in hits.items():
        if not found_by:
            continue
        difference = np.array(found_by, float) - whole
        half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
        shown = "" if name == "whole" else f"{difference.mean():+.3f} ± {half:.3f}"
        iou = f"{np.mean(overlaps):.2f}" if overlaps and name == "auto" else ""
        print(f"| {name} | {np.mean(found_by):.3f} | {shown} | {iou} |")


def read_queries(table: Path, split: str | None) -> list[dict[str, Any]]:
    """`image`, `item_id` and `mask` (empty where there is none) of each query."""
    if table.suffix == ".csv":
        with table.open() as file:
            rows = [{**row, "image": row["path"], "item_id": row["label"]} for row in csv.DictReader(file)]
    else:
        rows = pq.read_table(table).to_pylist()
    return [
        {"image": row["image"], "item_id": row["item_id"], "mask": row.get("mask") or ""}
        for row in rows
        if row["is_query"] in (True, "1") and split in (None, row["split"])
    ]


def mask_box(mask: np.ndarray) -> Box:
    """The box of what a mask shows, of shape (height, width)."""
    rows, columns = np.flatnonzero(mask.max(axis=1) > 127), np.flatnonzero(mask.max(axis=0) > 127)
    if not len(rows):
        return WHOLE
    height, width = mask.shape
    return Box(
        x=columns[0] / width,
        y=rows[0] / height,
        width=(columns[-1] + 1 - columns[0]) / width,
        height=(rows[-1] + 1 - rows[0]) / height,
    )


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    both = max(0.0, width) * max(0.0, height)
    return both / (a.width * a.height + b.width * b.height - both)


if __name__ == "__main__":
    main()
