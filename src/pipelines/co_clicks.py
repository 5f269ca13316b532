"""Pairs of items that are clicked in the same sessions: python -m src.pipelines.co_clicks LOG --output FILE."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.catalog.clicks.co_clicks import CoClickRule, co_click_sql
from src.catalog.clicks.impressions import read_impressions
from src.catalog.clicks.propensity import Propensities, estimate_propensities
from src.contracts.atomic_file import atomic_file
from src.contracts.errors import ConfigError, TableError
from src.contracts.exit_codes import exit_with_message
from src.contracts.tables import validate_interactions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["co_clicks_in_duckdb", "co_clicks_in_spark", "examination_table", "main"]

_DEEPEST = 50
"""Deepest rank whose clicks are used: beyond it too few clicks determine the propensity."""


def examination_table(propensities: Propensities) -> pa.Table:
    """Propensities as the query reads them: `rank` (int32, from 1) and `chance`, without the ranks that have none."""
    known = np.flatnonzero(np.isfinite(propensities.values))
    return pa.table({"rank": pa.array(known + 1, pa.int32()), "chance": propensities.values[known]})


def co_clicks_in_duckdb(events: pa.Table, examination: pa.Table, rule: CoClickRule) -> pa.Table:
    """Count pairs on this machine.

    Args:
        events: an interactions table.
        examination: see `examination_table`.
        rule: which pairs are kept.

    Returns:
        The columns of `co_click_sql`, ordered by items.

    Raises:
        TableError: the events do not match the schema.
    """
    with duckdb.connect() as engine:
        engine.register("events", validate_interactions(events))
        engine.register("examination", examination)
        return engine.sql(f"{co_click_sql(rule)} ORDER BY item_a, item_b").to_arrow_table()


def co_clicks_in_spark(events: "DataFrame", examination: pa.Table, rule: CoClickRule) -> "DataFrame":
    """Count pairs in Spark; see `co_clicks_in_duckdb`. The rows have no order, and the events are not validated."""
    session = events.sparkSession
    sources = "WITH events AS (SELECT * FROM {events}), examination AS (SELECT * FROM {examination}),"
    query = co_click_sql(rule).replace("WITH", sources, 1)
    return session.sql(query, events=events, examination=session.createDataFrame(examination))


def main(arguments: Sequence[str] | None = None) -> None:
    """Estimate the propensities of the log, count the pairs, write them."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        rule = _rule(options)
        try:
            events = validate_interactions(pq.read_table(options.log))
        except (OSError, pa.ArrowException) as error:
            raise TableError(
                f"{options.log}: cannot be read as Parquet ({error}); name an interactions table"
            ) from error
        shown = read_impressions(events)
        deepest = min(int(shown.ranks.max(initial=1)), _DEEPEST)
        examination = examination_table(estimate_propensities(shown.pairs, shown.ranks, shown.clicked, deepest=deepest))
        pairs = co_clicks_in_duckdb(events, examination, rule)
        with atomic_file(Path(options.output)) as temporary:
            pq.write_table(pairs, temporary)
        print(
            f"{pairs.num_rows} pairs in {options.output}, each clicked together in {rule.min_support} sessions or more;"
            f" ranks used: {', '.join(map(str, examination['rank'].to_pylist()))}"
        )


def _rule(options: argparse.Namespace) -> CoClickRule:
    problems = []
    if options.min_support < 1:
        problems.append(f"`--min-support {options.min_support}`: at least 1")
    if options.max_items < 2:
        problems.append(f"`--max-items {options.max_items}`: at least 2, the items of a pair")
    if not 1 <= options.clip < float("inf"):
        problems.append(f"`--clip {options.clip}`: at least 1, the inverse propensity of the first rank, and finite")
    if problems:
        raise ConfigError("; ".join(problems))
    return CoClickRule(min_support=options.min_support, max_items=options.max_items, clip=options.clip)


def _parser() -> argparse.ArgumentParser:
    rule = CoClickRule()
    parser = argparse.ArgumentParser(prog="python -m src.pipelines.co_clicks", description=__doc__)
    parser.add_argument("log", metavar="LOG", help="interactions table, a Parquet file or a folder of them")
    parser.add_argument("--output", required=True, metavar="FILE", help="Parquet file to write")
    parser.add_argument("--min-support", type=int, default=rule.min_support, help="least sessions of a pair")
    parser.add_argument("--max-items", type=int, default=rule.max_items, help="sessions that click more are left out")
    parser.add_argument("--clip", type=float, default=rule.clip, help="largest inverse propensity of a click")
    return parser


if __name__ == "__main__":
    main()
