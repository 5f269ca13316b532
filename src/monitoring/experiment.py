"""Analyse an experiment, or plan one: python -m src.monitoring.experiment --interactions FILE ... --output DIR."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.atomic_file import write_atomically
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.monitoring.experiments.analysis import analyse
from src.monitoring.experiments.exposure_log import read_exposures
from src.monitoring.experiments.looks import Arm
from src.monitoring.experiments.metrics import METRICS
from src.monitoring.experiments.page import as_html, print_analysis
from src.monitoring.experiments.planning import covariance_of_log, covariance_of_rate, plan
from src.monitoring.experiments.user_totals import ExperimentLog
from src.monitoring.interactions import read_interactions

__all__ = ["main"]

_EXAMPLES = """\
examples:
  how long must an experiment run to find a relative change of 5 % of the click-through rate?
    python -m src.monitoring.experiment --plan --interactions interactions.parquet --metric ctr --lift 0.05

  the same without a log, for a rate of 3 % over 2,000 new users a day
    python -m src.monitoring.experiment --plan --baseline 0.03 --users-per-day 2000 --lift 0.05

  what does the experiment say today? It may be asked every day.
    python -m src.monitoring.experiment --interactions interactions.parquet --exposures exposures --metric ctr@1 \\
        --guardrails conversion revenue --days 28 --output report

exit codes: 0 the analysis was made, whatever its decision; 2 it cannot be made (the message says why).
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the decision and write DIR/experiment.html; with --plan, print what experiments of each length can find."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        if not 0 < options.alpha < 1:
            raise ConfigError(f"--alpha {options.alpha}: must be between 0 and 1")
        if not 0 <= options.margin < 1:
            raise ConfigError(f"--margin {options.margin}: must be from 0 to below 1")
        if options.days is not None and options.days < 1:
            raise ConfigError(f"--days {options.days}: must be at least 1")
        if options.cap is not None and not 0 < options.cap < math.inf:
            raise ConfigError(f"--cap {options.cap}: must be positive")
        (_plan if options.plan else _analyse)(options)


def _analyse(options: argparse.Namespace) -> None:
    if not options.interactions or options.output is None:
        raise ConfigError("an analysis needs --interactions FILE and --output DIR; --plan plans one")
    repeated = {options.metric} & {*options.guardrails}
    if repeated:
        raise ConfigError(f"--guardrails {options.metric}: is the primary metric; leave it out")
    exposures = _exposures(options.exposures, options.experiment) if options.exposures else None
    log = ExperimentLog.of(
        read_interactions(options.interactions, options.items), exposures, control=options.control, cap=options.cap
    )
    analysis = analyse(
        log, options.metric, options.guardrails, alpha=options.alpha, planned=options.days, margin=options.margin
    )
    print_analysis(analysis)
    path = options.output / "experiment.html"
    write_atomically(path, as_html(analysis))
    print(f"written: {path}")


def _exposures(folder: Path, experiment: str | None) -> pa.Table:
    exposures = read_exposures(folder)
    names = sorted(pc.unique(exposures["experiment"]).to_pylist())
    if not names:
        raise ConfigError(f"--exposures {folder}: holds no exposures-*.jsonl with exposures")
    if experiment is None and len(names) > 1:
        raise ConfigError(f"--exposures {folder}: holds {', '.join(names)}; choose one by --experiment")
    if experiment is not None and experiment not in names:
        raise ConfigError(f"--experiment {experiment}: none of {', '.join(names)}")
    return exposures.filter(pc.equal(exposures["experiment"], experiment or names[0]))


def _plan(options: argparse.Namespace) -> None:
    days = options.days or 42
    if options.interactions:
        log = read_interactions(options.interactions, options.items)
        value, covariance = covariance_of_log(_all_users(log, options.metric, options.cap), days)
        about = f"{options.metric} of {value:.4g}, by the users of the log and how they return"
    elif options.baseline is not None and options.users_per_day is not None:
        if not 0 < options.baseline < 1 or options.users_per_day <= 0:
            raise ConfigError("--baseline must be between 0 and 1, --users-per-day positive")
        value, covariance = options.baseline, covariance_of_rate(options.baseline, options.users_per_day, days)
        about = f"rate of {value:.4g}, {options.users_per_day:g} new users a day, each counted once"
    else:
        raise ConfigError("--plan needs --interactions FILE, or --baseline RATE and --users-per-day NUMBER")
    found = plan(value, covariance, lift=options.lift, alpha=options.alpha, power=options.power)
    print(f"{about}; two variants of half of the users, power {options.power:.0%}, alpha {options.alpha:.0%}")
    print("days  smallest relative change that is found: daily looks   one test at the end")
    for day in sorted({1, *range(7, days + 1, 7), days, *([found.days] if found.days else [])}):
        print(f"{day:4}  {found.daily[day - 1]:44.1%}   {found.fixed[day - 1]:19.1%}")
    if found.days is None:
        print(
            f"a change of {options.lift:+.1%} is not found within {days} days: plan for a larger one, or raise --days"
        )
    else:
        print(f"a change of {options.lift:+.1%}: plan {found.days} days (--days {found.days} in each analysis)")


def _all_users(log: pa.Table, metric: str, cap: float | None) -> Arm:
    """All users of a log as one arm: they are put into two variants, of which the parts are joined again."""
    users = pc.coalesce(log["user_id"], log["session_id"])
    codes = users.combine_chunks().dictionary_encode().indices.to_numpy()
    names = np.where(codes % 2 == 0, "a", "b")
    log = log.drop_columns(["variant"]).append_column("variant", pa.array(names.tolist()))
    placed = ExperimentLog.of(log, cap=cap)
    arms = [placed.arm(METRICS[metric], number) for number in (0, 1)]
    return Arm(*(np.concatenate([getattr(arm, name) for arm in arms]) for name in ("y", "n")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.monitoring.experiment",
        description="Say what an experiment shows, at any time; or with --plan how long it must run.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--interactions", nargs="+", type=Path, metavar="FILE", help="Parquet files of the interactions table")
    add(
        "--exposures", type=Path, metavar="DIR", help="exposure log (default: the column `variant` of the interactions)"
    )
    add("--experiment", metavar="NAME", help="experiment of the exposure log, where it has several")
    add("--items", type=Path, metavar="FILE", help="Parquet file with item_id and price, where the log has no `price`")
    add("--metric", choices=sorted(METRICS), default="ctr", help="the metric that decides (default ctr)")
    add("--guardrails", nargs="+", choices=sorted(METRICS), default=[], metavar="METRIC", help="must not become worse")
    add("--margin", type=float, default=0.05, help="relative fall of a guardrail that is accepted (default 0.05)")
    add("--control", metavar="NAME", help="variant that others are compared with (default: control, or the first name)")
    add("--days", type=int, metavar="N", help="planned length, fixed before the start; --plan: longest (default 42)")
    add(
        "--cap",
        type=float,
        metavar="AMOUNT",
        help="the most that a session's revenue counts for, fixed before the start",
    )
    add("--alpha", type=float, default=0.05, help="error of each family of tests, over all looks (default 0.05)")
    add("--output", type=Path, metavar="DIR", help="folder of experiment.html")
    add("--plan", action="store_true", help="plan an experiment")
    add("--lift", type=float, default=0.05, help="--plan: relative change that shall be found (default 0.05)")
    add("--power", type=float, default=0.8, help="--plan: probability of finding it (default 0.8)")
    add("--baseline", type=float, metavar="RATE", help="--plan without a log: the rate now")
    add("--users-per-day", type=float, metavar="NUMBER", help="--plan without a log: new users of both variants")
    return parser


if __name__ == "__main__":
    main()
