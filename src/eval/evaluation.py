"""One evaluation: queries and gallery of a split through an encoder, its metrics and what each query found."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.embedded import Embed, Embedded, embed_rows
from src.eval.metrics import summarise
from src.eval.per_query import per_query_table
from src.eval.ranking import Ranking, rank_positives

__all__ = [
    "Evaluation",
    "evaluate_embedded",
    "evaluate_split",
    "print_metrics",
    "read_metrics",
    "split_rows",
    "write_metrics",
]


@dataclass(frozen=True)
class Evaluation:
    """Metrics, and the ranking and images that they were made from.

    Attributes:
        metrics: what `metrics.json` holds.
        per_query: a row a query, in the order of `queries`; the metrics are averages over it (see `per_query_table`).
        ranking: ranks of the positives and best results.
        queries: the images that asked.
        gallery: the images that were searched.
    """

    metrics: dict[str, float | int]
    per_query: pa.Table
    ranking: Ranking
    queries: Embedded
    gallery: Embedded


def evaluate_embedded(queries: Embedded, gallery: Embedded, *, level: str = "item") -> Evaluation:
    """Rank and summarise what was embedded."""
    ranking = rank_positives(queries, gallery, level=level)
    per_query = per_query_table(queries, gallery, ranking, {"level": level})
    return Evaluation(summarise(ranking), per_query, ranking, queries, gallery)


def split_rows(catalogue: Catalogue, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a split's queries and of its gallery, int64 each.

    Raises:
        LookalikeError: one of them is empty.
    """
    queries, gallery = catalogue.query_rows(split), catalogue.gallery_rows(split)
    if not len(queries) or not len(gallery):
        raise LookalikeError(
            f"split {split!r} has {len(queries)} queries and {len(gallery)} gallery images, and both are needed; check "
            "`data.splits`, set `data.split_by=product`, or evaluate another split with `split=`"
        )
    return queries, gallery


def evaluate_split(
    catalogue: Catalogue,
    split: str,
    spec: PreprocessingSpec | None,
    embed: Embed,
    *,
    level: str = "item",
    batch: int = 128,
) -> Evaluation:
    """Embed a split's queries and gallery, and evaluate them.

    Raises:
        LookalikeError: the split has no queries or no gallery.
    """
    query_rows, gallery_rows = split_rows(catalogue, split)
    # Images that are both query and gallery (leave-one-out) are embedded once.
    rows = np.union1d(query_rows, gallery_rows)
    embedded = embed_rows(catalogue, rows, spec, embed, batch=batch, what=split)

    queries, gallery = (embedded.take(np.searchsorted(rows, wanted)) for wanted in (query_rows, gallery_rows))
    return evaluate_embedded(queries, gallery, level=level)


def write_metrics(metrics: Mapping[str, float | int], path: Path) -> None:
    """Write `metrics.json` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dict(metrics), indent=2) + "\n")
    os.replace(part, path)


def read_metrics(path: Path) -> dict[str, float | int]:
    """What `write_metrics` wrote, or nothing where there is no such file."""
    if not path.is_file():
        return {}
    metrics: dict[str, float | int] = json.loads(path.read_text())
    return metrics


def print_metrics(metrics: Mapping[str, float | int], title: str) -> None:
    """A table on the terminal; `NAME_low` and `NAME_high` stand in the line of `NAME`."""
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    ends = {name for name in metrics if name.removesuffix("_low").removesuffix("_high") in {*metrics} - {name}}
    if ends:
        table.add_column("interval")
    for name, value in metrics.items():
        if name in ends:
            continue
        shown = f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
        known = f"{name}_low" in ends and f"{name}_high" in ends
        table.add_row(
            name, shown, *([f"{metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f}"] if known else [])
        )
    Console().print(table)
