"""Check explanations against known masks and against networks with random weights.

python -m src.eval.explanations.check --checkpoint PATH, for a checkpoint that was trained on the built-in shop.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from src.catalog.catalogue import open_catalogue
from src.contracts.atomic_file import write_atomically
from src.contracts.errors import GateError
from src.contracts.exit_codes import exit_with_message
from src.contracts.settings import DataSettings, complete_data
from src.eval.checkpoint_comparison import Difference
from src.eval.explanations.masked_pairs import read_pairs
from src.eval.explanations.method_checks import DomainCheck, check_method, failures
from src.eval.explanations.pairs import METHODS
from src.eval.intervals import Interval
from src.models.checkpoint import load_encoder

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table, write the JSON, and exit with 2 where a gate is not passed."""
    parser = argparse.ArgumentParser(prog="python -m src.eval.explanations.check", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="trained on the built-in shop")
    parser.add_argument("--data-root", help="the shop's folder, if it isn't where the checkpoint says")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--method", choices=tuple(METHODS), action="append", help="default: all of them")
    parser.add_argument("--pairs", type=_positive, default=300, help="most pairs (default 300)")
    parser.add_argument(
        "--randomised", type=_positive, default=64, help="pairs for the randomised networks (default 64)"
    )
    parser.add_argument("--output", type=Path, default=Path("outputs/explanations.json"))
    options = parser.parse_args(arguments)
    with exit_with_message():
        _run(options)


def _run(options: argparse.Namespace) -> None:
    encoder, spec, card = load_encoder(options.checkpoint)
    overrides = DataSettings(root=options.data_root) if options.data_root else DataSettings()
    catalogue = open_catalogue(complete_data(overrides, card["data"]))
    pairs = read_pairs(catalogue, options.split, encoder, spec, limit=options.pairs)
    checks = [
        check
        for method in options.method or METHODS
        for check in check_method(encoder, pairs, method, randomised=options.randomised)
    ]
    problems = [problem for check in checks for problem in failures(check)]
    record = {"split": options.split, "pairs": len(pairs.products), "passed": not problems, "failures": problems}
    record["checks"] = [asdict(check) for check in checks]
    write_atomically(options.output, json.dumps(record, indent=2) + "\n")
    _print(checks, f"{card['name']}: explanations of {len(pairs.products)} pairs, {options.split} split")
    print(f"explanations: {options.output}")
    if problems:
        raise GateError("explanations that failed their checks:\n" + "\n".join(f"  {problem}" for problem in problems))


def _print(checks: Sequence[DomainCheck], title: str) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("method", "domain", "pointing", "random", "centre", "less centre", "energy", "destroyed"):
        table.add_column(column, justify="left" if column in ("method", "domain") else "right")
    table.add_column("correlation, layers randomised", justify="right")
    for check in checks:
        table.add_row(
            check.method,
            check.domain,
            _ends(check.pointing),
            f"{check.random:.3f}",
            _ends(check.centre),
            _ends(check.over_centre),
            _ends(check.energy),
            f"{check.destroyed_pointing:.3f}",
            ", ".join(f"{float(share):.0%} {value:.2f}" for share, value in check.correlations.items()),
        )
    Console(width=170).print(table)


def _ends(found: Interval | Difference) -> str:
    value = "-" if found.value is None else f"{found.value:.3f}"
    return value if found.low is None else f"{value} [{found.low:.3f}, {found.high:.3f}]"


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number above 0")
    return int(text)


if __name__ == "__main__":
    main()
