"""List suspected label errors by several models: python -m src.eval.label_errors RUN RUN ..."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from src.contracts.atomic_file import write_atomically
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.eval.runs import check_comparable, open_run
from src.eval.suspected_labels import SuspectedLabel, suspected_labels

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the most suspicious labels; write them as JSON where the options say so."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        _list_suspects(options)


def _list_suspects(options: argparse.Namespace) -> None:
    if options.count < 1:
        raise ConfigError(f"--count {options.count}: must be at least 1")
    runs = [open_run(given) for given in options.runs]
    check_comparable(runs, [])
    names = [run.name for run in runs]
    # Runs that share a name are labelled by their folders.
    labels = [run.name if names.count(run.name) == 1 else run.given for run in runs]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"{', '.join(options.runs)}: a run is given twice, and would be counted twice; leave one out")
    tables = {label: run.table for label, run in zip(labels, runs, strict=True)}
    suspected = suspected_labels(tables, options.count)
    _print(suspected, labels, runs[0].table.num_rows)
    if options.json is not None:
        write_atomically(options.json, json.dumps([asdict(case) for case in suspected], indent=2) + "\n")
        print(f"written: {options.json}")


def _print(suspected: Sequence[SuspectedLabel], models: Sequence[str], queries: int) -> None:
    table = Table(title=f"suspected labels of {queries} queries, by {', '.join(models)}", title_justify="left")
    for name in ("query", "label", "looks like", "found"):
        table.add_column(name, overflow="fold")
    for name in ("models", "strength", "margin"):
        table.add_column(name, justify="right")
    for case in suspected:
        other = f"{case.suspected_item_id} (a variant)" if case.same_product else case.suspected_item_id
        agreeing = f"{len(case.models)} of {len(models)}"
        figures = (f"{case.strength:.2f}", f"{case.margin:.3f}")
        table.add_row(case.image_id, case.item_id, other, case.found_image_id, agreeing, *figures)
    Console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.eval.label_errors",
        description="List the queries for which models rank another item above every image of the labelled one.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output folders of evaluate.py, of the same queries")
    parser.add_argument("--count", type=int, default=20, help="labels to list (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write them as JSON too")
    return parser


if __name__ == "__main__":
    main()
