"""One evaluation: embed the queries and the gallery of a split, rank, and compute the metrics."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from src.catalog.catalogue import Catalogue
from src.contracts.atomic_file import write_atomically
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.cold_start import queries_listed_after
from src.eval.embedded import Embed, Embedded, embed_rows
from src.eval.metrics import measure, summarise
from src.eval.per_query import per_query_table
from src.eval.protocol import Protocol
from src.eval.query_groups import merged_queries
from src.eval.ranking import MEMORY_MB, Ranking, iterate_rankings, join_rankings
from src.eval.roles import split_rows

__all__ = [
    "Evaluation",
    "evaluate_embedded",
    "evaluate_split",
    "measure_queries",
    "print_metrics",
    "read_metrics",
    "write_metrics",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Metrics, with the ranking and the embeddings that they were computed from.

    Attributes:
        metrics: the metrics of `metrics.json`.
        per_query: one row for each query, in the order of `queries`; see `per_query_table`. Metrics are its averages.
        ranking: of all queries; its `ranks` have one column, the first positive's rank.
        queries: the query images; with the protocol's `merge_queries`, the merged ones.
        gallery: the gallery images.
    """

    metrics: dict[str, float | int]
    per_query: pa.Table
    ranking: Ranking
    queries: Embedded
    gallery: Embedded


def evaluate_embedded(
    queries: Embedded,
    gallery: Embedded,
    protocol: Protocol = Protocol(),  # noqa: B008  # frozen
    *,
    memory_mb: int = MEMORY_MB,
) -> Evaluation:
    """Rank embedded queries against an embedded gallery, and compute the metrics.

    Args:
        queries: the query images.
        gallery: the gallery images.
        protocol: what is ranked, left out and measured.
        memory_mb: working memory in MiB beyond the vectors and what is returned.
    """
    if protocol.listed_after is not None:
        new = queries_listed_after(queries, gallery, protocol.listed_after)
        log.info(
            "cold start: %d of %d queries are of items listed after %s", len(new), len(queries), protocol.listed_after
        )
        queries = queries.take(new)
    if protocol.merge_queries is not None:
        images = len(queries)
        queries = merged_queries(queries, gallery, protocol.merge_queries, exclude=protocol.exclude)
        log.info("%d query images are %d queries, by %s", images, len(queries), protocol.merge_queries)
    with Progress(transient=True) as progress:
        task = progress.add_task("searching", total=len(queries))
        measured, ranking = measure_queries(
            queries, gallery, protocol, memory_mb=memory_mb, advance=lambda done: progress.advance(task, done)
        )
    metrics = summarise(measured, ranking.positives)
    return Evaluation(
        metrics, per_query_table(queries, gallery, ranking, measured, protocol), ranking, queries, gallery
    )


def measure_queries(
    queries: Embedded,
    gallery: Embedded,
    protocol: Protocol,
    *,
    memory_mb: int = MEMORY_MB,
    advance: Callable[[int], object] = lambda done: None,
) -> tuple[dict[str, np.ndarray], Ranking]:
    """Rank the gallery for each query, and measure each.

    Args:
        queries: the query images.
        gallery: the gallery images.
        protocol: what is ranked and measured; `listed_after` and `merge_queries` must have made the queries before.
        memory_mb: working memory in MiB beyond the vectors and what is returned.
        advance: is called with the number of queries that were measured since the last call.

    Returns:
        What `measure` gives for all queries; and their ranking, whose `ranks` have one column.
    """
    parts, values = [], []
    for part in iterate_rankings(queries, gallery, protocol, memory_mb=memory_mb):
        values.append(measure(part, protocol))
        # All ranks of all queries could take more memory than the vectors.
        parts.append(replace(part, ranks=part.ranks[:, :1]))
        advance(len(part.positives))
    return {name: np.concatenate([value[name] for value in values]) for name in values[0]}, join_rankings(parts)


def evaluate_split(
    catalogue: Catalogue,
    split: str,
    spec: PreprocessingSpec | None,
    embed: Embed,
    *,
    protocol: Protocol = Protocol(),  # noqa: B008  # frozen
    roles: str = "given",
    batch: int = 128,
    memory_mb: int = MEMORY_MB,
) -> Evaluation:
    """Embed a split's queries and gallery, and evaluate them.

    Args:
        catalogue: where the images are.
        split: `train`, `val` or `test`.
        spec: the preprocessing.
        embed: the encoder, or a baseline.
        protocol: what is ranked, left out and measured.
        roles: which images are queries and which are the gallery; see `split_rows`.
        batch: images embedded at once.
        memory_mb: working memory of the search, in MiB beyond the vectors.

    Raises:
        LookalikeError: the split has no queries or no gallery.
    """
    query_rows, gallery_rows = split_rows(catalogue, split, roles)
    # Images that are both query and gallery (leave-one-out) are embedded once.
    rows = np.union1d(query_rows, gallery_rows)
    embedded = embed_rows(catalogue, rows, spec, embed, batch=batch, what=split)
    queries, gallery = (embedded.take(np.searchsorted(rows, wanted)) for wanted in (query_rows, gallery_rows))
    return evaluate_embedded(queries, gallery, protocol, memory_mb=memory_mb)


def write_metrics(metrics: Mapping[str, float | int], path: Path) -> None:
    """Write `metrics.json` atomically."""
    write_atomically(path, json.dumps(dict(metrics), indent=2) + "\n")


def read_metrics(path: Path) -> dict[str, float | int]:
    """Read what `write_metrics` wrote; an empty dictionary where there is no such file."""
    if not path.is_file():
        return {}
    metrics: dict[str, float | int] = json.loads(path.read_text())
    return metrics


def print_metrics(metrics: Mapping[str, float | int], title: str, notes: Sequence[str] = ()) -> None:
    """Print the metrics as a table, `NAME_low` and `NAME_high` beside `NAME`; then `notes`, a line each."""
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
    console = Console()
    console.print(table)
    for note in notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
