"""Metrics before and after re-ranking: a table on the terminal, and rerank.json."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from src.contracts.atomic_file import write_atomically
from src.contracts.settings.rerank import RerankSettings
from src.eval.checkpoint_comparison import compare_checkpoints
from src.eval.embedded import Embedded
from src.eval.evaluation import Evaluation
from src.eval.metrics import measure
from src.eval.protocol import Protocol
from src.eval.ranking import MEMORY_MB, rank_positives
from src.eval.reranking import rerank

__all__ = ["measure_reranking", "print_reranking", "write_reranking"]

_SHOWN = ("recall@1", "recall@10", "map@r", "mrr", "ndcg@10", "graded_ndcg@10", "in_stock@10")
_FIRST = 10


def measure_reranking(
    evaluation: Evaluation,
    protocol: Protocol,
    settings: RerankSettings,
    *,
    resamples: int = 10_000,
    memory_mb: int = MEMORY_MB,
) -> dict[str, Any]:
    """Measure the metrics after each stage with intervals of their change, and the time of each stage.

    Args:
        evaluation: of the search alone.
        protocol: of the evaluation. Recall at the stages' depth is added: re-ranking cannot exceed it.
        settings: the stages.
        resamples: largest number of permutations behind the intervals (`compare_checkpoints`); 0 leaves them out.
        memory_mb: of the search.

    Returns:
        `depth`, `queries` (with a positive), `settings`, and `stages`: for the search and then for each stage `stage`,
        `ms_per_query`, `metrics`, and `delta`: by metric the change since the search with a 95 % interval, paired over
        queries. Where the gallery has the column `in_stock`, `in_stock@10` is the share of the first ten results that
        are in stock.
    """
    ks = tuple(sorted({*protocol.metrics.get("recall", ()), settings.depth}))
    protocol = replace(protocol, metrics={**protocol.metrics, "recall": ks})
    queries, gallery = evaluation.queries, evaluation.gallery
    ranking = rank_positives(queries, gallery, protocol, memory_mb=memory_mb)
    answerable = ranking.positives > 0
    products = evaluation.per_query["product"].to_numpy()[answerable]
    stages: list[dict[str, Any]] = []
    first: dict[str, np.ndarray] = {}
    for part in rerank(queries, gallery, ranking, settings):
        values = measure(part.ranking, protocol) | _in_stock(gallery, part.ranking.top_rows)
        values = {name: value[answerable] for name, value in values.items()}
        first = first or values
        line: dict[str, Any] = {"stage": part.stage, "ms_per_query": part.ms}
        line["metrics"] = {name: float(value.mean()) for name, value in values.items()}
        if values is not first:
            after, before = (np.column_stack([side[name] for name in first]) for side in (values, first))
            changes = compare_checkpoints(after, before, products, resamples=resamples) if resamples else None
            line["delta"] = {
                name: {
                    "value": line["metrics"][name] - stages[0]["metrics"][name],
                    "low": changes[place].low if changes else None,
                    "high": changes[place].high if changes else None,
                }
                for place, name in enumerate(first)
            }
        stages.append(line)
    about = {"depth": settings.depth, "queries": int(answerable.sum()), "settings": asdict(settings)}
    return {**about, "stages": stages}


def _in_stock(gallery: Embedded, rows: np.ndarray) -> dict[str, np.ndarray]:
    column = gallery.attribute("in_stock")
    if column is None or not pa.types.is_boolean(column.type):
        return {}
    in_stock = column.fill_null(False).to_numpy()
    first = rows[:, :_FIRST]
    share = (in_stock[first] & (first >= 0)).sum(axis=1) / np.maximum((first >= 0).sum(axis=1), 1)
    return {f"in_stock@{_FIRST}": share.astype(np.float64)}


def write_reranking(measured: dict[str, Any], path: Path) -> None:
    """Write `rerank.json` atomically."""
    write_atomically(path, json.dumps(measured, indent=2) + "\n")


def print_reranking(measured: dict[str, Any]) -> None:
    """Print a table with a column for each stage; in brackets the change since the search."""
    title = f"re-ranking the first {measured['depth']} results of {measured['queries']:,} queries"
    caption = "\\[low, high]: 95 % interval of the change since the search"
    table = Table(title=title, title_justify="left", caption=caption)
    stages = measured["stages"]
    table.add_column("metric")
    for line in stages:
        table.add_column(line["stage"], justify="right")
    for name in (name for name in _SHOWN if name in stages[0]["metrics"]):
        changes = (_change(line.get("delta", {}).get(name)) for line in stages)
        cells = [f"{line['metrics'][name]:.4f}{change}" for line, change in zip(stages, changes, strict=True)]
        table.add_row(name, *cells)
    table.add_row("ms a query", *(f"{line['ms_per_query']:.2f}" for line in stages))
    Console().print(table)


def _change(delta: dict[str, float | None] | None) -> str:
    if delta is None:
        return ""
    if delta["low"] is None or delta["high"] is None:
        return "\n[dim]no interval[/dim]"
    return f"\n\\[{delta['low']:+.4f}, {delta['high']:+.4f}]"
