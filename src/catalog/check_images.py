"""Check a catalogue's images for faults and duplicates: python -m src.catalog.check_images ROOT --output DIR."""

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from src.catalog.audit import audit_rows
from src.catalog.convert import convert_columns
from src.catalog.duplicates.band_plan import BandPlan
from src.catalog.duplicates.fingerprint import FINGERPRINT
from src.catalog.duplicates.pairs import DuplicatePairs, duplicate_pairs, fingerprint_table
from src.catalog.duplicates.rules import resolve_duplicates
from src.catalog.examine import examine
from src.catalog.folder import read_folder
from src.catalog.image_source import UnreadableImageError, read_image
from src.catalog.manifest import read_manifest
from src.catalog.quality.limits import QualityLimits
from src.catalog.quality.reasons import Reason
from src.catalog.quality.report import write_quality_report
from src.catalog.quality.summary import FINDINGS, QualitySummary, placeholders, summarise
from src.contracts.atomic_file import atomic_file
from src.contracts.errors import CatalogueError, ConfigError
from src.contracts.exit_codes import exit_with_message
from src.contracts.pixel_box import PixelBox

__all__ = ["main"]

_CHUNK = 16
_IN_THIS_PROCESS = 200
"""Fewer images are checked before a process would have started."""

Row = tuple[dict[str, Any], bytes | None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print counts; write findings.parquet, findings.csv, duplicates.parquet and report.html."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        if find_spec("duckdb") is None:
            raise ConfigError("duplicates are found with the package duckdb: pip install -e .[pipelines]")
        _check(options, _limits(options.limit))


def _check(options: argparse.Namespace, limits: QualityLimits) -> None:
    items = _items(options)
    rows = list(_examined(items, options.root, limits, options.workers))
    head = {name: items[name].to_pylist() for name in ("image_id", "item_id")}
    found = [
        {"image_id": image, "item_id": item} | row
        for image, item, (row, _) in zip(head["image_id"], head["item_id"], rows, strict=True)
    ]
    pairs, representative = _duplicates(items, [data for _, data in rows])
    pictures = [representative.get(image, image) for image in head["image_id"]]
    for row, there in zip(found, placeholders(pictures, head["item_id"], max_items=limits.max_items), strict=True):
        if there:
            row["reasons"].append(str(Reason.PLACEHOLDER))
            row["reason"] = row["reason"] or str(Reason.PLACEHOLDER)
            row["message"] = "; ".join(
                filter(None, (row["message"], f"stands under more than {limits.max_items} items"))
            )
    findings = pa.Table.from_pylist(found, schema=FINDINGS)
    files = dict(zip(head["image_id"], items["image"].to_pylist(), strict=True))
    summary = summarise(findings, lambda image: read_image(options.root, files[image]))
    _write(options.output, findings, pairs, summary, options.root)
    _print(summary, pairs, options.output)


def _items(options: argparse.Namespace) -> pa.Table:
    """The catalogue's rows, whatever is wrong with their files."""
    columns = dict(pair.split("=", 1) for pair in options.columns)
    if options.manifest:
        table = read_manifest(options.root / options.manifest, columns, images=options.output / "images")
    else:
        table = read_folder(options.root)
    names = [name for name in ("image_id", "item_id", "image", "box", "listed_at") if name in table.column_names]
    table, problems = convert_columns(table.select(names), splits={}, domains={})
    problems += [each for each in audit_rows(table, options.root) if not each[1].startswith("missing file")]
    if problems:
        source = str(options.root / options.manifest)
        raise CatalogueError(source, [f"row {row + 1}: {what}" for row, what in sorted(problems)])
    return table


def _examined(items: pa.Table, root: Path, limits: QualityLimits, workers: int) -> Iterator[Row]:
    """Each image's finding as a row, and its fingerprint; in the table's order."""
    images = items["image"].to_pylist()
    boxes = items["box"].to_pylist() if "box" in items.column_names else [None] * len(images)
    one = partial(_examine_one, root, limits)
    alone = workers == 1 or len(images) < _IN_THIS_PROCESS
    # Not forked: a library's threads would be missing in the copy.
    pool = nullcontext() if alone else ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with pool as processes, Progress(*columns, transient=True) as bar:
        task = bar.add_task("images", total=len(images))
        each = map(one, images, boxes) if processes is None else processes.map(one, images, boxes, chunksize=_CHUNK)
        for row in each:
            bar.advance(task)
            yield row


def _examine_one(root: Path, limits: QualityLimits, image: str, box: list[float] | None) -> Row:
    part: PixelBox | None = None if box is None else (box[0], box[1], box[2], box[3])
    try:
        data = read_image(root, image)
    except UnreadableImageError as error:
        return {"reason": str(Reason.MISSING), "reasons": [str(Reason.MISSING)], "message": str(error)}, None
    examined = examine(data, limits, box=part)
    return examined.finding.row(), None if examined.fingerprint is None else examined.fingerprint.tobytes()


def _duplicates(items: pa.Table, prints: list[bytes | None]) -> tuple[DuplicatePairs, dict[str, str]]:
    """The pairs, and the representative of each image that has a duplicate."""
    ids = items["image_id"].to_pylist()
    readable = [row for row, data in enumerate(prints) if data is not None]
    known = np.frombuffer(b"".join(data for data in prints if data is not None), FINGERPRINT)
    pairs = duplicate_pairs(fingerprint_table([ids[row] for row in readable], known), BandPlan())
    members = resolve_duplicates(items, pairs.pairs, "mark").groups.members
    return pairs, dict(zip(members["image_id"].to_pylist(), members["representative_id"].to_pylist(), strict=True))


def _write(output: Path, findings: pa.Table, pairs: DuplicatePairs, summary: QualitySummary, root: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, table in {"findings": findings, "duplicates": pairs.pairs}.items():
        with atomic_file(output / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary)
    write_quality_report(output / "report.html", summary, title=f"Images of {root}", notes=_notes(pairs))


def _notes(pairs: DuplicatePairs) -> list[str]:
    kinds = pairs.pairs["kind"].to_pylist()
    notes = [f"Pairs of duplicates: {kinds.count('exact'):,} of equal files, {kinds.count('near'):,} that look alike."]
    if pairs.hot.num_rows:
        most = max(pairs.hot["images"].to_pylist())
        notes.append(
            f"Up to {most:,} images share a part of their hash ({pairs.hot.num_rows:,} parts): only the first of these "
            "were compared with all others, and pairs among the rest may be missing."
        )
    return notes


def _print(summary: QualitySummary, pairs: DuplicatePairs, output: Path) -> None:
    table = Table(title=f"{summary.images:,} images, {summary.good:,} good", title_justify="left")
    table.add_column("reason")
    table.add_column("images", justify="right")
    table.add_column("meaning")
    for row in summary.reasons:
        table.add_row(row.reason, f"{row.images:,}", row.explanation)
    Console().print(table)
    print("\n".join(_notes(pairs)))
    print(f"written: {output / 'report.html'}, findings.parquet, duplicates.parquet")


def _limits(given: Sequence[str]) -> QualityLimits:
    kinds = {field.name: int if field.type is int else float for field in fields(QualityLimits)}
    values: dict[str, Any] = {}
    for each in given:
        name, _, value = each.partition("=")
        if name not in kinds:
            raise ConfigError(f"--limit {each}: must be NAME=VALUE, with one of the names {', '.join(kinds)}")
        try:
            values[name] = kinds[name](value)
        except ValueError:
            raise ConfigError(f"--limit {each}: {value!r} is no number") from None
    return QualityLimits(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.catalog.check_images",
        description="Check a catalogue's images: faults by reason with sample pictures, and duplicates.",
    )
    parser.add_argument("root", type=Path, help="the catalogue's folder: a folder for each item, or a manifest's")
    parser.add_argument("--manifest", default="", metavar="FILE", help="CSV or Parquet, relative to ROOT")
    parser.add_argument("--columns", nargs="+", default=[], metavar="OURS=THEIRS", help="such as item_id=label")
    parser.add_argument("--output", type=Path, required=True, help="folder for the report and the tables")
    parser.add_argument("--limit", action="append", default=[], metavar="NAME=VALUE", help="of QualityLimits")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one a core)")
    return parser


if __name__ == "__main__":
    main()
