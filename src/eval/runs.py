"""Open the queries.parquet of evaluated runs, and check that they hold the same queries."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.errors import ConfigError
from src.eval.per_query import about_queries, read_queries

__all__ = ["Run", "check_comparable", "expand_sweep", "metric_values", "open_run"]

_FILE = "queries.parquet"
_TRAINING = "validation"
"""Where train.py puts its own evaluation, of the validation split, below the run's folder."""


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        given: the path as the user gave it.
        table: a row a query (`src.eval.per_query`).
        about: the table's metadata.
    """

    given: str
    table: pa.Table
    about: dict[str, Any]

    @property
    def method(self) -> str | None:
        """The same for runs that differ in nothing but their seed; None where it is not known."""
        return self.about.get("method")

    @property
    def seed(self) -> int | None:
        """The training's seed; None where there was none."""
        return self.about.get("seed")

    @property
    def name(self) -> str:
        """The run's name, for titles; runs of different methods may have the same."""
        return str(self.about.get("name") or self.given)

    def values(self, metrics: Sequence[str]) -> np.ndarray:
        """float64 of shape (queries, metrics), NaN where a query has no positive."""
        return metric_values(self.table, metrics)

    def products(self) -> np.ndarray:
        """Object array of shape (queries,)."""
        return self.table["product"].to_numpy()


def open_run(given: str) -> Run:
    """Open an evaluation.

    Args:
        given: an output folder of evaluate.py, a folder that has exactly one below it, or a queries.parquet. For a
            training's folder without one, its evaluation on the validation split is taken.

    Raises:
        ConfigError: there is none, or there are several.
        TableError: the file is not a table of queries.
    """
    path = Path(given)
    found = [path] if path.is_file() else [path / _FILE] if (path / _FILE).is_file() else _below(path)
    if len(found) != 1:
        listed = "".join(f"\n  {file.parent}" for file in found)
        raise ConfigError(
            f"{given}: {len(found) or 'no'} {_FILE} in or below it, and one is needed; "
            + (f"name one of{listed}" if found else "evaluate it first: python evaluate.py checkpoint=... output=DIR")
        )
    table = read_queries(found[0])
    return Run(given, table, about_queries(table))


def expand_sweep(given: str) -> list[str]:
    """List the runs of a sweep's folder (Hydra's multirun, or `sweep=NAME`); any other path is returned as it is.

    Trials that were pruned or failed are left out, and so is a run of the same method and seed as one before it.

    Raises:
        ConfigError: no run of the sweep finished.
    """
    folder = Path(given)
    if not (folder / "multirun.yaml").is_file():
        return [given]
    found = sorted({path.parent.parent for path in folder.rglob(f"{_TRAINING}/{_FILE}")})
    if (folder / "trials.csv").is_file():
        with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
            finished = {row["folder"] for row in csv.DictReader(file) if row["state"] == "complete"}
        found = [path for path in found if path.relative_to(folder).parts[0] in finished]
    if not found:
        raise ConfigError(f"{given}: a sweep in which no run finished")
    once: dict[object, str] = {}
    for path in map(str, found):
        run = open_run(path)
        once.setdefault(path if run.method is None else (run.method, run.seed), path)
    return [*once.values()]


def _below(folder: Path) -> list[Path]:
    """Evaluations below a folder: evaluate.py's where there are any, else train.py's."""
    found = sorted(folder.rglob(_FILE))
    return [path for path in found if path.parent.name != _TRAINING] or found


def metric_values(table: pa.Table, metrics: Sequence[str]) -> np.ndarray:
    """Columns of a table of queries: float64 of shape (queries, metrics), NaN where a query has no positive."""
    return np.column_stack([table[name].to_numpy().astype(np.float64) for name in metrics])


def check_comparable(runs: Sequence[Run], metrics: Sequence[str]) -> None:
    """Raise `ConfigError` unless all runs were evaluated on the same queries and products and have these metrics.

    The message names the difference: the protocol, the queries, or the gallery.
    """
    first = runs[0]
    for run in runs:
        absent = [name for name in metrics if name not in run.about["metrics"]]
        if absent:
            raise ConfigError(f"{run.given}: no metric {', '.join(absent)}; it has {', '.join(run.about['metrics'])}")
        if run.about["fingerprint"] != first.about["fingerprint"]:
            raise ConfigError(
                f"{first.given} and {run.given} cannot be compared query by query: {_what_differs(first, run)}; "
                "evaluate both in the same way"
            )
        if run.table["product"] != first.table["product"]:
            raise ConfigError(
                f"{first.given} and {run.given}: the queries' products differ, since parent_id was added or changed "
                "between the two; evaluate both with the same parent_id"
            )


def _what_differs(first: Run, second: Run) -> str:
    parts = []
    settings = (first.about["protocol"], second.about["protocol"])
    names = sorted({*settings[0], *settings[1]})
    pairs = [(name, *(part.get(name) for part in settings)) for name in names]
    changed = [f"{name} is {one!r} and {other!r}" for name, one, other in pairs if one != other]
    if changed:
        parts.append(f"the protocol differs ({', '.join(changed)})")
    ids = [run.table["image_id"].to_pylist() for run in (first, second)]
    if set(ids[0]) != set(ids[1]):
        parts.append(
            f"the queries differ ({len(set(ids[0]) - set(ids[1]))} of {len(ids[0])} only in the first, "
            f"{len(set(ids[1]) - set(ids[0]))} of {len(ids[1])} only in the second)"
        )
    elif ids[0] != ids[1]:
        parts.append("the order of the queries differs")
    elif first.table["item_id"] != second.table["item_id"]:
        parts.append("the queries' items differ: the labels were changed between the two")
    return "; ".join(parts) or "the gallery differs"
