"""Build the report of an evaluation."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from src.catalog.catalogue import Catalogue
from src.eval.calibration import Calibrated, Group
from src.eval.evaluation import Evaluation
from src.eval.explanations.explained_results import Explained
from src.eval.intervals import Interval, cluster_intervals
from src.eval.per_query import about_queries
from src.eval.report.dataset import audit_dataset
from src.eval.report.document import write_page
from src.eval.report.map_view import draw_map
from src.eval.report.plot import Curve, draw_curve
from src.eval.report.result_strips import hits, misses
from src.eval.report.thumbnails import Thumbnails
from src.eval.robustness import Robustness
from src.eval.slices import TINY, Slice

__all__ = ["write_report"]

_LARGEST_K = 100
_MOST_SLICES = 40
_MOST_CASES = 12
_SIDE = 96
_OPEN_SET = ("open_set_auroc", "open_set_fpr@95")


def write_report(
    path: Path,
    *,
    title: str,
    evaluation: Evaluation,
    metrics: Mapping[str, float | int],
    slices: Sequence[Slice],
    hard_cases: Mapping[str, Sequence[Mapping[str, Any]]],
    confidence: float,
    notes: Sequence[str] = (),
    config: Mapping[str, Any],
    catalogue: Catalogue | None = None,
    explained: Sequence[Explained] = (),
    map_images: int = 1500,
    strips: int = 12,
    calibrated: Calibrated | None = None,
    robustness: Sequence[Robustness] = (),
) -> None:
    """Write one self-contained HTML file.

    Args:
        path: the file to write.
        title: of the page.
        evaluation: the evaluation.
        metrics: as in metrics.json, with the ends of intervals and over-indexing where they were measured.
        slices: the worst first.
        hard_cases: of `src.eval.hard_cases.hard_cases`.
        confidence: of the intervals.
        notes: of `product_notes`.
        config: shown unchanged.
        catalogue: where the images are; None, for embeddings without images, leaves out the sections with images.
        explained: pairs of images with maps of what makes them similar.
        map_images: most points of the map; 0 draws no map.
        strips: queries with their results in each section.
        calibrated: the probability that a first result is right, as measured; None leaves the section out.
        robustness: Recall@1 under edits of the query photos.
    """
    about = about_queries(evaluation.per_query)
    parts = {
        "title": title,
        "metrics_note": (
            f"Averages over the queries that have a positive; intervals ({confidence:.0%}) over products, not queries."
        ),
        "notes": notes,
        "headline": [_headline(name, metrics) for name in (*about["metrics"], *_OPEN_SET) if name in metrics],
        "counts": {name: metrics[name] for name in ("queries", "queries_without_positives")},
        "curve": _curve(evaluation, confidence),
        "slices": [_slice(each) for each in slices[:_MOST_SLICES]],
        "slices_metric": about["metrics"][0],
        "slices_note": _slices_note(len(slices), confidence),
        "bias": _biases(metrics),
        "robustness": [_edit(each) for each in robustness],
        "calibrated": [_group(each) for each in calibrated.groups] if calibrated else [],
        "config": json.dumps({"protocol": about["protocol"], **config}, indent=2, default=str),
    }
    if catalogue is not None:
        parts |= _pictures(catalogue, evaluation, hard_cases, strips, map_images) | {"explained": explained}
    write_page(path, parts)


def _pictures(
    catalogue: Catalogue,
    evaluation: Evaluation,
    hard: Mapping[str, Sequence[Mapping[str, Any]]],
    strips: int,
    map_images: int,
) -> dict[str, Any]:
    thumbnails = Thumbnails(catalogue, side=_SIDE)
    drawn = draw_map(evaluation, thumbnails, images=map_images)
    return {
        "hits": hits(evaluation, thumbnails, strips=strips, results=8),
        "misses": misses(evaluation, thumbnails, strips=strips, results=8),
        "confusions": [_confusion(case, thumbnails) for case in hard["confused_pairs"][:_MOST_CASES]],
        "suspects": [_suspect(case, thumbnails) for case in hard["suspected_labels"][:_MOST_CASES]],
        "map": drawn,
        "map_points": [asdict(point) for point in drawn.points] if drawn else [],
        "audit": audit_dataset(catalogue, evaluation),
    }


def _headline(name: str, metrics: Mapping[str, float | int]) -> dict[str, Any]:
    return {
        "name": name,
        "value": metrics[name],
        "low": metrics.get(f"{name}_low"),
        "high": metrics.get(f"{name}_high"),
    }


def _curve(evaluation: Evaluation, confidence: float) -> Curve:
    ranking = evaluation.ranking
    largest = max(2, min(_LARGEST_K, len(set(evaluation.gallery.item_ids))))
    ks = np.unique(np.geomspace(1, largest, 30).round().astype(int))
    found = np.where(ranking.positives[:, None] > 0, ranking.ranks[:, :1] <= ks, np.nan)
    products = evaluation.per_query["product"].to_numpy()
    intervals = cluster_intervals(found, products, confidence=confidence)
    ends = np.array([_drawn_ends(interval) for interval in intervals], dtype=np.float64)
    return draw_curve(ks, ends[:, 0], ends[:, 1], ends[:, 2], "Recall@")


def _drawn_ends(interval: Interval) -> tuple[float | None, float | None, float | None]:
    """Value and interval; without an interval the band has no width."""
    if interval.low is None:
        return interval.value, interval.value, interval.value
    return interval.value, interval.low, interval.high


def _slice(each: Slice) -> dict[str, Any]:
    interval = each.intervals[0]
    return {
        "column": each.column,
        "name": each.value,
        "note": f"fewer than {TINY} products" if each.tiny else "worse than the rest" if each.worse else "",
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "queries": interval.queries,
        "products": interval.products,
    }


def _group(each: Group) -> dict[str, Any]:
    right = each.right
    return {
        "stated": each.stated,
        "value": right.value,
        "low": right.low,
        "high": right.high,
        "queries": right.queries,
        "products": right.products,
    }


def _edit(each: Robustness) -> dict[str, Any]:
    change = each.change
    return {"edit": each.edit, "recall": each.value, "value": change.value, "low": change.low, "high": change.high}


def _slices_note(slices: int, confidence: float) -> str:
    rest = f" The first {_MOST_SLICES} of {slices}; slices.parquet has all." if slices > _MOST_SLICES else ""
    return (
        "Groups of queries, ordered by the upper end of the interval of their difference to the column's other "
        f"queries. Worse than the rest: that difference is significant at {confidence:.0%} after Holm's correction "
        f"over all slices.{rest}"
    )


def _biases(metrics: Mapping[str, float | int]) -> list[dict[str, Any]]:
    """The rows on over-indexing, from `color_excess@10` and the entries that belong to it."""
    found = []
    for name in metrics:
        column, between, depth = name.partition("_excess@")
        if between and depth.isdecimal():
            row = {"name": f"{column}, first {depth}", "found": metrics[f"{column}_share@{depth}"]}
            found.append(row | {"expected": metrics[f"{column}_ideal@{depth}"]} | _headline(name, metrics) | row)
    return found


def _confusion(case: Mapping[str, Any], thumbnails: Thumbnails) -> dict[str, str]:
    first, second = case["items"]
    note = f"{case['count']} of {sum(case['queries'])} queries"
    return {
        "first": first,
        "second": second,
        "first_image": thumbnails[case["query_image_id"]],
        "second_image": thumbnails[case["found_image_id"]],
        "note": note + (", variants of one product" if case["same_product"] else ""),
    }


def _suspect(case: Mapping[str, Any], thumbnails: Thumbnails) -> dict[str, str]:
    return {
        "first": case["item_id"],
        "second": case["suspected_item_id"],
        "first_image": thumbnails[case["image_id"]],
        "second_image": thumbnails[case["found_image_id"]],
        "note": f"nearer by {case['margin']:.3f} in cosine"
        + (", variants of one product" if case["same_product"] else ""),
    }
