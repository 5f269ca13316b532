"""Point-in-time look-ups beside other ways to make them: python -m benchmarks.pipelines.point_in_time.

Facts are embeddings with an event time and a time from which they are known; one in five arrives up to ten days late.
Two sets: keys of about eleven facts each, and ten keys with all facts. Each way takes tables in memory to a table in
memory, in turns. What is printed: medians of the rounds, wall and CPU, and in how many rows an answer differs from that
of a search through each key's facts, which is the definition; that search, which is slow, is made once.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from src.contracts.exit_codes import exit_with_message
from src.pipelines.point_in_time import PointInTime, join_in_duckdb

_DAY = 86_400 * 1_000_000
_UTC = pa.timestamp("us", tz="UTC")
_JOIN = PointInTime(keys=("image_id",), at="at", columns=("fact", "vector"), prefix="")

_ARG_MAX = """
WITH best AS (
    SELECT label, max(struct_pack(event_at, created_at, fact)) AS fact FROM labels
    JOIN facts ON labels.image_id = facts.image_id AND facts.event_at <= labels."at" AND facts.created_at <= labels."at"
    GROUP BY label
)
SELECT labels.*, facts.fact, vector FROM labels
LEFT JOIN best ON labels.label = best.label LEFT JOIN facts ON best.fact.fact = facts.fact ORDER BY labels.label
"""


def main() -> None:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=110_000)
    parser.add_argument("--labels", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=512, help="of the vectors, float16, that labels get")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with exit_with_message():
        for keys in (max(options.facts // 11, 1), 10):
            _report(keys, options)


def _report(keys: int, options: argparse.Namespace) -> None:
    labels, facts = draw(keys, facts=options.facts, labels=options.labels, dim=options.dim)
    ways: dict[str, Callable[[pa.Table, pa.Table], np.ndarray]] = {
        "join_in_duckdb": _ours,
        "max over an inequality join, DuckDB": _arg_max,
        "pandas merge_asof by event time": _merge_asof,
    }
    search = "search through each key's facts, Python"
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in [*ways, search]}
    truth, taken = _timed(searched, labels, facts)
    seconds[search].append(taken)
    wrong = {search: 0}
    for _ in range(options.rounds):
        for name, way in ways.items():
            found, taken = _timed(way, labels, facts)
            seconds[name].append(taken)
            wrong[name] = int((found != truth).sum())
    medians = {name: [statistics.median(each) for each in zip(*taken, strict=True)] for name, taken in seconds.items()}
    print(f"\n{options.labels} labels, {options.facts} facts of {keys} keys, dim {options.dim}")
    print("| | seconds | CPU seconds | ratio | wrong |\n| --- | ---: | ---: | ---: | ---: |")
    for name, (wall, cpu) in medians.items():
        ratio, share = wall / medians["join_in_duckdb"][0], wrong[name] / options.labels
        print(f"| {name} | {wall:.3f} | {cpu:.3f} | {ratio:.2f} | {share:.1%} |", flush=True)


def _timed(
    way: Callable[[pa.Table, pa.Table], np.ndarray], labels: pa.Table, facts: pa.Table
) -> tuple[np.ndarray, tuple[float, float]]:
    """What a way finds, and the wall and CPU seconds that it takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = way(labels, facts)
    return found, (time.perf_counter() - wall, time.process_time() - cpu)


def draw(keys: int, *, facts: int, labels: int, dim: int) -> tuple[pa.Table, pa.Table]:
    """Labels and facts over 100 days; fact i has the number i."""
    rng = np.random.default_rng(0)
    names = np.array([f"image-{key:07d}" for key in range(keys)])
    events = rng.integers(0, 100 * _DAY, facts)
    late = np.where(rng.random(facts) < 0.2, rng.integers(0, 10 * _DAY, facts), rng.integers(0, _DAY // 24, facts))
    vectors = pa.py_buffer(rng.bytes(facts * dim * 2))
    fact_table = pa.table(
        {
            "image_id": names[rng.integers(0, keys, facts)],
            "event_at": pa.array(events, pa.int64()).cast(_UTC),
            "created_at": pa.array(events + late, pa.int64()).cast(_UTC),
            "fact": np.arange(facts),
            "vector": pa.FixedSizeBinaryArray.from_buffers(pa.binary(dim * 2), facts, [None, vectors]).cast(
                pa.binary()
            ),
        }
    )
    asked = pa.array(rng.integers(0, 110 * _DAY, labels), pa.int64()).cast(_UTC)
    label_table = pa.table({"image_id": names[rng.integers(0, keys, labels)], "at": asked, "label": np.arange(labels)})
    return label_table, fact_table


def searched(labels: pa.Table, facts: pa.Table) -> np.ndarray:
    """The fact's number for each label, -1 for none: from the latest event back to the first that was known."""
    order = facts.drop_columns(["vector"]).sort_by([("event_at", "descending"), ("created_at", "descending")])
    vectors = facts["vector"].combine_chunks()
    by_key: dict[str, list[tuple[int, int, int]]] = {}
    times = (order[name].cast(pa.int64()).to_pylist() for name in ("event_at", "created_at"))
    for key, event, created, fact in zip(order["image_id"].to_pylist(), *times, order["fact"].to_pylist(), strict=True):
        by_key.setdefault(key, []).append((event, created, fact))
    found = []
    for key, at in zip(labels["image_id"].to_pylist(), labels["at"].cast(pa.int64()).to_pylist(), strict=True):
        usable = (fact for event, created, fact in by_key.get(key, ()) if event <= at and created <= at)
        found.append(next(usable, -1))
    numbers = np.array(found)
    vectors.take(pa.array(np.maximum(numbers, 0)))
    return numbers


def _ours(labels: pa.Table, facts: pa.Table) -> np.ndarray:
    return _numbers(join_in_duckdb(labels, facts, _JOIN))


def _arg_max(labels: pa.Table, facts: pa.Table) -> np.ndarray:
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("labels", labels)
        engine.register("facts", facts)
        return _numbers(engine.sql(_ARG_MAX).to_arrow_table())


def _merge_asof(labels: pa.Table, facts: pa.Table) -> np.ndarray:
    """What is known by then cannot be said to it: it takes facts that had not arrived."""
    left, right = labels.to_pandas().sort_values("at"), facts.to_pandas().sort_values("event_at")
    joined = pd.merge_asof(left, right, left_on="at", right_on="event_at", by="image_id").sort_values("label")
    return joined["fact"].fillna(-1).to_numpy().astype(np.int64)


def _numbers(table: pa.Table) -> np.ndarray:
    return table["fact"].fill_null(-1).to_numpy()


if __name__ == "__main__":
    main()
