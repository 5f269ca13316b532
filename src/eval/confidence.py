"""Confidence intervals of the metrics and over-indexing, which metrics.json holds beside the metrics."""

import pyarrow as pa

from src.eval.bias import measure_bias
from src.eval.evaluation import Evaluation
from src.eval.first_results import first_results
from src.eval.intervals import cluster_intervals
from src.eval.open_set import open_set_metrics
from src.eval.per_query import about_queries
from src.eval.runs import metric_values

__all__ = ["confidence_metrics", "interval_metrics"]


def interval_metrics(per_query: pa.Table, *, confidence: float = 0.95) -> dict[str, float]:
    """The ends of each metric's interval, named as in metrics.json.

    Args:
        per_query: of `per_query_table`.
        confidence: of the intervals.

    Returns:
        `NAME_low` and `NAME_high`; a metric without an interval (too few products) has neither.
    """
    names = about_queries(per_query)["metrics"]
    products = per_query["product"].to_numpy()
    intervals = cluster_intervals(metric_values(per_query, names), products, confidence=confidence)
    ends: dict[str, float] = {}
    for name, interval in zip(names, intervals, strict=True):
        if interval.low is not None and interval.high is not None:
            ends |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return ends


def confidence_metrics(evaluation: Evaluation, *, confidence: float = 0.95) -> dict[str, float]:
    """The entries of metrics.json beside the metrics.

    Args:
        evaluation: the evaluation.
        confidence: of the intervals.

    Returns:
        The ends of the metrics' intervals (`interval_metrics`); where items are ranked, `open_set_metrics`; for colour
        and brand, where they are known, `COLUMN_excess@10` with its ends, which is the difference of
        `COLUMN_share@10` and `COLUMN_ideal@10`. With `exclude` in the protocol over-indexing is not measured.
    """
    flat = interval_metrics(evaluation.per_query, confidence=confidence)
    firsts = first_results(evaluation.per_query)
    if firsts is not None:
        flat |= open_set_metrics(firsts, confidence=confidence)
    protocol = about_queries(evaluation.per_query)["protocol"]
    if protocol["exclude"] is not None:
        # The ideal ranking would have other candidates for each query.
        return flat
    measured = measure_bias(
        evaluation.queries,
        evaluation.gallery,
        evaluation.ranking.top_rows,
        evaluation.per_query["product"].to_numpy(),
        level=protocol["level"],
        confidence=confidence,
    )
    for each in measured:
        name = f"{each.column}_excess@{each.depth}"
        flat[name] = each.results - each.ideal
        if each.excess.low is not None and each.excess.high is not None:
            flat |= {f"{name}_low": each.excess.low, f"{name}_high": each.excess.high}
        flat |= {f"{each.column}_share@{each.depth}": each.results, f"{each.column}_ideal@{each.depth}": each.ideal}
    return flat
