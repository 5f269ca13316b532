"""Simulate an experiment in the built-in shop: python -m src.monitoring.simulate --output DIR.

Users come back over days. Before the experiment all see one engine; from its first day on, variants are assigned by
`assignment.py`, and the treated engine makes other errors. Clicks follow the shop's position-based model.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.contracts.atomic_file import atomic_file
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.contracts.tables import validate_interactions
from src.monitoring.experiments.assignment import Experiment
from src.monitoring.experiments.exposure_log import Exposure, ExposureLog
from src.shop.clicks import ENGINE_NOISE, Market, act, rank
from src.shop.listing import items_table
from src.shop.products import plan_products

__all__ = ["START", "main", "simulated_log"]

START = datetime(2026, 9, 1, tzinfo=UTC)
"""Midnight before the experiment's first day."""

_VISITS = 0.12
"""Expected later visits a day; each user has a level of its own, Gamma distributed."""

_COLUMNS = (
    "event_at", "session_id", "user_id", "query_image_id", "item_id", "rank", "event", "variant", "propensity", "price",
    "category",
)  # fmt: skip


def simulated_log(
    experiment: Experiment, *, users: int, days: int, before: int, noise: float, parents: int, seed: int
) -> pa.Table:
    """The interactions of the experiment and of a period before it, by time, with `price` and `category` of the items.

    Args:
        experiment: who gets which variant; the control is the first one.
        users: of the shop, whether they take part or not.
        days: length of the experiment.
        before: days of the period before it.
        noise: of the treated engine (`rank`); the control has the shop's.
        parents: products of the shop.
        seed: all follows from it.

    Returns:
        The interactions table; `variant` is null where a user takes no part, and before the experiment.
    """
    products = plan_products(parents, seed)
    market = Market(products, items_table(products, seed))
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for number in range(users):
        rows += _user(rng, market, experiment, f"U{number:06d}", days, before, noise)
    rows.sort(key=lambda row: (row[0], row[1]))
    columns = zip(*rows, strict=True) if rows else ([] for _ in _COLUMNS)
    return validate_interactions(pa.table(dict(zip(_COLUMNS, map(list, columns), strict=True))))


def _user(
    rng: np.random.Generator, market: Market, experiment: Experiment, user: str, days: int, before: int, noise: float
) -> Iterator[tuple[object, ...]]:
    """All events of one user."""
    level, taste = rng.gamma(1.0, _VISITS), rng.gamma(4.0, 0.25)
    first = int(rng.integers(-before, days))
    visits = rng.poisson(level, days - first)
    visits[0] += 1
    assigned = experiment.assign(user)
    listed = np.arange(len(market.ids))
    for day in np.repeat(np.arange(first, days), visits).tolist():
        now = START + timedelta(days=day, seconds=float(rng.uniform(0, 80_000)))
        query = int(rng.integers(len(listed)))
        photo = market.photos[query][int(rng.integers(len(market.photos[query])))]
        taking_part = assigned if day >= 0 else None
        treated = taking_part is not None and taking_part.variant != next(iter(experiment.variants))
        shown, grades = rank(rng, market, query, listed, noise=noise if treated else ENGINE_NOISE)
        session = f"{user}-{now:%y%m%d%H%M%S%f}"

        def row(at: datetime, place: int, event: str) -> tuple[object, ...]:
            item = int(shown[place])  # noqa: B023
            shared = (user, photo, market.ids[item], place + 1, event)  # noqa: B023
            by = (taking_part.variant, taking_part.propensity) if taking_part else (None, None)  # noqa: B023
            return (at, session, *shared, *by, market.prices[item], market.names[query])  # noqa: B023

        yield from (row(now, place, "impression") for place in range(len(shown)))
        clicked, carted, bought = act(rng, grades, min(taste, 1.1))
        for place in np.flatnonzero(clicked).tolist():
            for event, happened in (("click", clicked), ("cart", carted), ("purchase", bought)):
                if happened[place]:
                    now += timedelta(seconds=float(rng.uniform(2, 40)))
                    yield row(now, place, event)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write DIR/interactions.parquet and DIR/exposures/."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        least = {"users": 1, "days": 1, "before": 0, "parents": 10, "seed": 0, "noise": 0}
        wrong = [f"--{name} {getattr(options, name)}: must be at least {low}" for name, low in least.items()
                 if getattr(options, name) < low]  # fmt: skip
        if wrong:
            raise ConfigError("; ".join(wrong))
        folder = options.output / "exposures"
        if folder.exists():
            raise ConfigError(f"{folder}: is there already, and exposures are only appended; name another --output")
        experiment = Experiment("ranker-2", traffic=options.traffic)
        log = simulated_log(
            experiment, users=options.users, days=options.days, before=options.before, noise=options.noise,
            parents=options.parents, seed=options.seed,
        )  # fmt: skip
        with atomic_file(options.output / "interactions.parquet") as path:
            pq.write_table(log, path)
        _write_exposures(log, experiment, folder)
        print(f"{log.num_rows:,} events of {options.users:,} users over {options.before} + {options.days} days")
        print(f"written: {options.output / 'interactions.parquet'}, {folder}")


def _write_exposures(log: pa.Table, experiment: Experiment, folder: Path) -> None:
    sessions = log.group_by(["session_id", "user_id", "variant", "propensity"]).aggregate([("event_at", "min")])
    with closing(ExposureLog(folder)) as writer:
        for row in sessions.to_pylist():
            if row["variant"] is not None:
                at, user = row["event_at_min"], row["user_id"]
                writer.append(Exposure(row["session_id"], at, experiment.name, user, row["variant"], row["propensity"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m src.monitoring.simulate", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--users", type=int, default=4000, help="default 4000")
    parser.add_argument("--days", type=int, default=14, help="length of the experiment (default 14)")
    parser.add_argument("--before", type=int, default=14, help="days before the experiment (default 14)")
    parser.add_argument("--traffic", type=float, default=1.0, help="share of users who take part (default 1)")
    parser.add_argument(
        "--noise", type=float, default=0.5,
        help=f"error of the treated engine (default 0.5; the control has {ENGINE_NOISE}, an A/A test too)",
    )  # fmt: skip
    parser.add_argument("--parents", type=int, default=60, help="products of the shop (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    return parser


if __name__ == "__main__":
    main()
