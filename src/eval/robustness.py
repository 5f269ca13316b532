"""How much worse results become with worse query photos: each edit against the same gallery, paired by query."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from src.catalog.catalogue import Catalogue
from src.contracts.atomic_file import write_atomically
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.checkpoint_comparison import Difference, compare_checkpoints
from src.eval.edits import EDITS, beside
from src.eval.embedded import Embed, Embedded, embed_rows
from src.eval.evaluation import Evaluation, measure_queries
from src.eval.protocol import Protocol
from src.eval.ranking import MEMORY_MB
from src.search.regions import open_detector

__all__ = ["Robustness", "measure_robustness", "print_robustness", "write_robustness"]

_METRIC = "recall@1"


@dataclass(frozen=True)
class Robustness:
    """Recall@1 of the queries under one edit.

    Attributes:
        edit: its name.
        value: the average over the queries that have a positive.
        change: to the queries as they are, paired, with its interval over products.
        queries: that have a positive.
    """

    edit: str
    value: float
    change: Difference
    queries: int


def measure_robustness(
    catalogue: Catalogue,
    evaluation: Evaluation,
    spec: PreprocessingSpec,
    embed: Embed,
    edits: Sequence[str],
    protocol: Protocol,
    *,
    batch: int = 128,
    resamples: int = 10_000,
    confidence: float = 0.95,
    memory_mb: int = MEMORY_MB,
) -> list[Robustness]:
    """Embed the queries once for each edit, and search in the gallery as it was.

    `clutter` puts a query photo of another product beside each, `clutter_box` searches with the part that the built-in
    detector finds in that photo (`box=auto` of the service).

    Args:
        catalogue: where the queries' images are.
        evaluation: of the queries as they are.
        spec: how pixels are made.
        embed: the encoder.
        edits: names in `EDITS`, `clutter` or `clutter_box`.
        protocol: of the evaluation; `recall@1` is measured.
        batch: images embedded at once.
        resamples: largest number of permutations behind the intervals.
        confidence: of the intervals.
        memory_mb: of the search.

    Raises:
        LookalikeError: clutter is wanted of queries that are all of one product.
    """
    protocol = replace(protocol, metrics={"recall": (1,)})
    rows = np.array([catalogue.row_of[image_id] for image_id in evaluation.queries.image_ids])
    products = evaluation.per_query["product"].to_numpy()
    before = _recall(evaluation.queries, evaluation, protocol, memory_mb)
    answerable = np.isfinite(before)
    found = []
    for name in edits:
        edit = _edit(name, catalogue, rows, products)
        edited = embed_rows(catalogue, rows, spec, embed, batch=batch, what=f"queries: {name}", edit=edit)
        after = _recall(replace(evaluation.queries, vectors=edited.vectors), evaluation, protocol, memory_mb)
        change = compare_checkpoints(
            after[answerable, None],
            before[answerable, None],
            products[answerable],
            resamples=resamples,
            confidence=confidence,
        )[0]
        found.append(Robustness(name, float(after[answerable].mean()), change, int(answerable.sum())))
    return found


def _recall(queries: Embedded, evaluation: Evaluation, protocol: Protocol, memory_mb: int) -> np.ndarray:
    measured, _ = measure_queries(queries, evaluation.gallery, protocol, memory_mb=memory_mb)
    return measured[_METRIC]


def _edit(
    name: str, catalogue: Catalogue, rows: np.ndarray, products: np.ndarray
) -> Callable[[np.ndarray, int], np.ndarray]:
    if name in EDITS:
        return lambda picture, row: EDITS[name](picture)
    other = dict(zip(rows.tolist(), rows[_others(products)].tolist(), strict=True))
    detector = open_detector("saliency")

    def clutter(picture: np.ndarray, row: int) -> np.ndarray:
        both = beside(picture, catalogue.picture(other[row]), left=row % 2 == 0)
        regions = detector.regions(both, 1) if name == "clutter_box" else []
        return regions[0].box.cut(both) if regions else both

    return clutter


def _others(products: np.ndarray) -> np.ndarray:
    """For each query a query of another product, the same each time: int64 of shape (queries,)."""
    order = np.random.default_rng(0).permutation(len(products))
    order = order[np.argsort(products[order], kind="stable")]
    # In the order of products, half-way round: another product, unless one has half of all queries or more.
    found = np.empty(len(order), np.int64)
    found[order] = np.roll(order, len(order) // 2)
    same = np.flatnonzero(products[found] == products)
    for query in same:
        elsewhere = np.flatnonzero(products != products[query])
        if not len(elsewhere):
            raise LookalikeError("`robustness`: clutter needs queries of two products; these are all of one")
        found[query] = elsewhere[query % len(elsewhere)]
    return found


def write_robustness(measured: Sequence[Robustness], path: Path) -> None:
    """Write `robustness.json` atomically: a list of `edit`, `value`, `change` and `queries`."""
    write_atomically(path, json.dumps([asdict(each) for each in measured], indent=2) + "\n")


def print_robustness(measured: Sequence[Robustness]) -> None:
    """Print a table, an edit a line."""
    table = Table(title=f"{_METRIC} under edits of the query photos", title_justify="left")
    for column, justify in (("edit", "left"), (_METRIC, "right"), ("change", "right"), ("interval", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for each in measured:
        change = each.change
        ends = "" if change.low is None or change.high is None else f"{change.low:+.3f} to {change.high:+.3f}"
        shown = "" if change.value is None else f"{change.value:+.3f}"
        table.add_row(each.edit, f"{each.value:.3f}", shown, ends or (change.reason or ""))
    Console().print(table)
