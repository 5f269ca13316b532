"""Co-click pairs against a slow reference, the truth of a simulated log, and both engines against each other."""

import math
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.catalog.clicks.co_clicks import CoClickRule
from src.catalog.clicks.propensity import Propensities
from src.contracts.tables import INTERACTIONS
from src.pipelines.co_clicks import co_clicks_in_duckdb, co_clicks_in_spark, examination_table, main

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CHANCES = [1.0, 0.5, 0.2, float("nan"), 0.01]


def examination(chances: list[float] = CHANCES) -> pa.Table:
    nothing = np.zeros(len(chances))
    return examination_table(Propensities(np.array(chances), nothing, nothing.astype(np.int64)))


def log_table(rows: list[tuple[str, str, int, str]]) -> pa.Table:
    """Session, item, rank, event."""
    names = ("session_id", "item_id", "rank", "event")
    columns: dict[str, list[Any]] = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns |= {"event_at": [datetime(2026, 1, 1, tzinfo=UTC)] * len(rows), "query_image_id": ["q"] * len(rows)}
    return pa.table(
        {field.name: pa.array(columns[field.name], field.type) for field in INTERACTIONS if field.name in columns}
    )


def random_log(sessions: int = 150, *, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows = []
    for session in range(sessions):
        for _ in range(rng.integers(1, 14)):
            event = ["impression", "click", "cart"][rng.integers(3)]
            rows.append((f"s{session}", f"i{rng.integers(8)}", int(rng.integers(1, 8)), event))
    return log_table(rows)


def reference(
    events: pa.Table, chances: list[float], rule: CoClickRule
) -> dict[tuple[str, str], tuple[int, float, float]]:
    """Support, weight and lift of each pair, by loops."""
    sessions: dict[str, dict[str, float]] = defaultdict(dict)
    for event in events.to_pylist():
        place = event["rank"] - 1
        if event["event"] == "impression" or place >= len(chances) or math.isnan(chances[place]):
            continue
        weight = min(1 / chances[place], rule.clip)
        clicked = sessions[event["session_id"]]
        clicked[event["item_id"]] = min(weight, clicked.get(event["item_id"], math.inf))
    kept = [clicked for clicked in sessions.values() if len(clicked) <= rule.max_items]
    single: dict[str, float] = defaultdict(float)
    both: dict[tuple[str, str], list[float]] = defaultdict(list)
    for clicked in kept:
        for item, weight in clicked.items():
            single[item] += weight
        for a, b in combinations(sorted(clicked), 2):
            both[a, b].append(clicked[a] * clicked[b])
    return {
        (a, b): (len(found), sum(found), len(kept) * sum(found) / (single[a] * single[b]))
        for (a, b), found in both.items()
        if len(found) >= rule.min_support
    }


def as_dict(pairs: pa.Table) -> dict[tuple[str, str], tuple[int, float, float]]:
    return {(row["item_a"], row["item_b"]): (row["support"], row["weight"], row["lift"]) for row in pairs.to_pylist()}


@pytest.mark.parametrize("rule", [CoClickRule(), CoClickRule(min_support=12, max_items=4, clip=3)])
def test_duckdb_equals_the_reference(rule: CoClickRule) -> None:
    for seed in range(3):
        events = random_log(seed=seed)
        expected = reference(events, CHANCES, rule)
        pairs = co_clicks_in_duckdb(events, examination(), rule)
        found = as_dict(pairs)
        assert list(found) == sorted(expected)
        assert found == {pair: pytest.approx(value) for pair, value in expected.items()}
        assert expected


def test_spark_equals_duckdb(spark: "SparkSession") -> None:
    events, rule = random_log(), CoClickRule(max_items=5, clip=3)
    found = as_dict(co_clicks_in_spark(spark.createDataFrame(events), examination(), rule).toArrow())
    expected = as_dict(co_clicks_in_duckdb(events, examination(), rule))
    assert found == {pair: pytest.approx(value) for pair, value in expected.items()}


def test_lift_does_not_depend_on_where_items_are_shown() -> None:
    """Two items that are liked independently have a lift of 1, though they stand at the top of the same pages."""
    rng = np.random.default_rng(0)
    chances, rows = [1.0, 0.25], []
    for session in range(40_000):
        rows.append((f"s{session}", "c", 1, "click"))
        rank = 1 + int(rng.random() < 0.5)
        rows += [(f"s{session}", item, rank, "click") for item in "ab" if rng.random() < chances[rank - 1] * 0.4]
    events = log_table(rows)
    _, weight, lift = as_dict(co_clicks_in_duckdb(events, examination(chances), CoClickRule()))["a", "b"]
    assert lift == pytest.approx(1, abs=0.06)
    assert weight == pytest.approx(40_000 * 0.16, rel=0.06), "sessions in which both are liked"
    assert as_dict(co_clicks_in_duckdb(events, examination([1.0, 1.0]), CoClickRule()))["a", "b"][2] > 1.3, "as counted"


def test_bots_and_empty_logs() -> None:
    rows = [("bot", f"i{item}", 1, "click") for item in range(31)] * 5
    assert co_clicks_in_duckdb(log_table(rows), examination(), CoClickRule()).num_rows == 0
    empty = log_table(rows).slice(0, 0)
    assert co_clicks_in_duckdb(empty, examination(), CoClickRule()).num_rows == 0


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for session in range(300):
        order = [f"i{item}" for item in rng.permutation(4)]
        for rank, item in enumerate(order, start=1):
            rows.append((f"s{session}", item, rank, "impression"))
            if rng.random() < 0.8 / rank:
                rows.append((f"s{session}", item, rank, "click"))
    pq.write_table(log_table(rows), tmp_path / "log.parquet")
    main([str(tmp_path / "log.parquet"), "--output", str(tmp_path / "pairs.parquet")])
    assert capsys.readouterr().out.startswith(f"6 pairs in {tmp_path / 'pairs.parquet'}, each clicked together in 3 ")
    pairs = pq.read_table(tmp_path / "pairs.parquet")
    assert pairs.column_names == ["item_a", "item_b", "support", "weight", "lift"]


def test_errors_are_one_message(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "src.pipelines.co_clicks", str(tmp_path / "none"), "--output", str(tmp_path / "p")]
    for more, message in (([], "cannot be read as Parquet"), (["--max-items", "1"], "`--max-items 1`: at least 2")):
        ended = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        assert ended.returncode == 2, ended.stderr
        assert message in ended.stderr
        assert ended.stderr.count("\n") == 1
