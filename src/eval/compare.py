"""Compare evaluated runs: python -m src.eval.compare RUN RUN ... [--baseline RUN]."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from src.contracts.atomic_file import write_atomically
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.eval.comparison import Contender, compare_runs, group_runs
from src.eval.comparison_pages import as_html, as_markdown, print_comparison
from src.eval.contender_trainings import labelled, read_trainings
from src.eval.runs import expand_sweep, open_run

__all__ = ["main"]

_DEFAULT_METRICS = ("recall@1", "recall@10", "map@r", "ndcg@10", "mrr")

_EXAMPLES = """\
One run against one run shows which CHECKPOINT is better. To show which METHOD is better takes several seeds of each:
runs that differ in nothing but their seed are recognised as one method.

examples:
  is this checkpoint better than that one?
    python -m src.eval.compare runs/triplet/eval runs/infonce/eval

  is InfoNCE better than triplet, judged by three seeds each?
    python -m src.eval.compare runs/triplet-seed*/ runs/infonce-seed*/ --baseline runs/triplet-seed1/ --html out.html

  which trials of a sweep are better, how do their settings differ, and what are their learning curves?
    python -m src.eval.compare multirun/demo/rates --metrics recall@1 --html out.html

exit codes: 0 the comparison was made, whatever its result; 2 it cannot be made (the message says why).
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the comparison; write it as Markdown or HTML where the options say so."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        _compare(options)


def _compare(options: argparse.Namespace) -> None:
    if not 0.5 <= options.confidence < 1:
        raise ConfigError(f"--confidence {options.confidence}: must be from 0.5 to below 1")
    if options.resamples < 100:
        raise ConfigError(f"--resamples {options.resamples}: must be at least 100")
    given = [run for folder in options.runs for run in expand_sweep(folder)]
    folders = {os.path.normpath(run) for run in given}
    if options.baseline and os.path.normpath(options.baseline) not in folders and Path(options.baseline).exists():
        given.insert(0, options.baseline)
    contenders = labelled(group_runs([open_run(run) for run in given], by_method=not options.checkpoints))
    if len(contenders) < 2:
        raise ConfigError(
            f"{len(given)} run(s) of one method: there is nothing to compare; give runs of another method, or "
            "--checkpoints to compare seeds of one method"
        )
    baseline = _baseline(contenders, options.baseline)
    known = baseline.runs[0].about["metrics"]
    metrics = options.metrics or [name for name in _DEFAULT_METRICS if name in known] or known
    if metrics == ["all"]:
        metrics = known
    comparison = compare_runs(
        contenders, baseline, metrics, resamples=options.resamples, confidence=options.confidence, seed=options.seed
    )
    trainings = read_trainings([baseline, *(each for each in contenders if each is not baseline)], metrics[0])
    print_comparison(comparison, trainings)
    for path, text in ((options.markdown, as_markdown), (options.html, as_html)):
        if path is not None:
            write_atomically(path, text(comparison, trainings))
            print(f"written: {path}")


def _baseline(contenders: list[Contender], wanted: str | None) -> Contender:
    if wanted is None:
        return contenders[0]
    for contender in contenders:
        names = {contender.label, contender.runs[0].method}
        folders = {os.path.normpath(run.given) for run in contender.runs}
        if wanted in names or os.path.normpath(wanted) in folders:
            return contender
    labels = ", ".join(contender.label for contender in contenders)
    raise ConfigError(f"--baseline {wanted}: neither a folder nor one of {labels}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.eval.compare",
        description="Test whether evaluated runs are better or worse than a baseline.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="output folder of evaluate.py, or a folder that has one below it; a training's folder (its validation is "
        "taken, if it was not evaluated), or a sweep's (all finished trials are taken)",
    )
    parser.add_argument(
        "--baseline", metavar="RUN|METHOD", help="compare with this run or method (default: the first RUN)"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"the primary metric first, or `all`; default: {' '.join(_DEFAULT_METRICS)}",
    )
    parser.add_argument(
        "--checkpoints", action="store_true", help="compare single runs, even where a method has several seeds"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals (default 0.95)")
    parser.add_argument("--resamples", type=int, default=10_000, help="most permutations of a test (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the permutations (default 0)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a Markdown table")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained HTML page")
    return parser


if __name__ == "__main__":
    main()
