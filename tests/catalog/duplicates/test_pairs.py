"""The join finds what comparing all pairs finds, in DuckDB and in Spark alike; values that many share are reported."""

import os
import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from src.catalog.duplicates.band_plan import BandPlan
from src.catalog.duplicates.fingerprint import FINGERPRINT, MAX_COLOURS, colour_difference
from src.catalog.duplicates.pairs import PAIRS, duplicate_pairs, duplicate_pairs_spark, fingerprint_table
from src.catalog.duplicates.perceptual_hash import hamming

Found = set[tuple[str, str, str, int]]


def drawn(seed: int, count: int = 300) -> tuple[list[str], np.ndarray]:
    """Fingerprints around a few patterns and shades; some files twice."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 256, (count // 6, 32), np.uint8)
    shades = rng.integers(0, 256, (3, 8, 8, 3))
    prints = np.zeros(count, FINGERPRINT)
    prints["file"] = [f"{number:04d}" for number in rng.integers(0, 2 * count, count)]
    flips = np.packbits(rng.random((count, 256)) < rng.choice([0, 0.02, 0.06, 0.1], (count, 1)), axis=1)
    prints["bits"] = patterns[rng.integers(0, len(patterns), count)] ^ flips
    prints["colours"] = np.clip(shades[rng.integers(0, 3, count)] + rng.integers(0, 6, (count, 8, 8, 3)), 0, 255)
    # A file's fingerprint is one.
    first = {name: row for row, name in reversed(list(enumerate(prints["file"].tolist())))}
    prints = prints[[first[name] for name in prints["file"].tolist()]]
    return [f"i{number:04d}" for number in rng.permutation(count)], prints


def by_all_pairs(ids: list[str], prints: np.ndarray, max_bits: int) -> Found:
    rows = sorted(range(len(ids)), key=lambda row: ids[row])
    first: dict[bytes, int] = {}
    for row in rows:
        first.setdefault(prints["file"][row], row)
    found = {
        (ids[first[prints["file"][row]]], ids[row], "exact", 0) for row in rows if first[prints["file"][row]] != row
    }
    firsts = sorted(first.values(), key=lambda row: ids[row])
    for place, a in enumerate(firsts):
        for b in firsts[place + 1 :]:
            bits = int(hamming(prints["bits"][a], prints["bits"][b]))
            colours = [prints["colours"][row].reshape(1, -1) for row in (a, b)]
            if bits <= max_bits and colour_difference(*colours)[0] <= MAX_COLOURS:
                found.add((ids[a], ids[b], "near", bits))
    return found


def listed(pairs: pa.Table) -> Found:
    rows = [tuple(row[name] for name in ("image_id", "other_id", "kind", "bits")) for row in pairs.to_pylist()]
    assert len(set(rows)) == len(rows)
    return set(rows)


@pytest.mark.parametrize(
    "plan", [BandPlan(16, 1, 31), BandPlan(32, 0, 31), BandPlan(8, 1, 15), BandPlan(16, 0, 15)], ids=str
)
def test_within_the_guarantee_every_pair_is_found(plan: BandPlan) -> None:
    ids, prints = drawn(plan.bands + plan.radius)
    found = duplicate_pairs(fingerprint_table(ids, prints), plan, max_bucket=10_000)
    expected = by_all_pairs(ids, prints, plan.max_bits)
    assert {kind for _, _, kind, _ in expected} == {"exact", "near"}
    assert listed(found.pairs) == expected
    assert found.hot.num_rows == 0


def test_beyond_it_no_pair_is_invented() -> None:
    ids, prints = drawn(5)
    found = listed(duplicate_pairs(fingerprint_table(ids, prints), BandPlan(8, 0, 60), max_bucket=10_000).pairs)
    expected = by_all_pairs(ids, prints, 60)
    assert found < expected
    assert len(found) > len(expected) / 2


def test_values_that_many_share_are_bounded_and_reported() -> None:
    ids = [f"i{number:04d}" for number in range(500)]
    prints = np.zeros(500, FINGERPRINT)
    prints["file"] = [f"f{number}" for number in range(500)]
    found = duplicate_pairs(fingerprint_table(ids, prints), BandPlan(16, 1, 31), max_bucket=3)
    pairs = listed(found.pairs)
    # The first three meet all others: nobody is lost.
    assert {a for a, _, _, _ in pairs} == {"i0000", "i0001", "i0002"}
    assert {b for a, b, _, _ in pairs if a == "i0000"} == set(ids[1:])
    assert len(pairs) == 499 + 498 + 497
    assert found.hot.to_pylist() == [{"band": band, "value": 0, "images": 500} for band in range(16)]


def test_no_image_has_no_pairs() -> None:
    found = duplicate_pairs(fingerprint_table([], np.zeros(0, FINGERPRINT)), BandPlan())
    assert found.pairs.schema == PAIRS
    assert (found.pairs.num_rows, found.hot.num_rows) == (0, 0)


@pytest.fixture(scope="module")
def spark() -> Iterator[object]:
    sql = pytest.importorskip("pyspark.sql")
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "1", "spark.driver.host": "127.0.0.1"}
    session = sql.SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    yield session
    session.stop()


@pytest.mark.filterwarnings("ignore")
def test_spark_finds_the_same(spark) -> None:
    ids, prints = drawn(9)
    plan = BandPlan(16, 1, 40)
    table = fingerprint_table(ids, prints)
    here = duplicate_pairs(table, plan, max_bucket=6)
    there = duplicate_pairs_spark(spark.createDataFrame(table), plan, max_bucket=6)
    order = [("image_id", "ascending"), ("other_id", "ascending")]
    assert there.pairs.toArrow().cast(PAIRS).sort_by(order).equals(here.pairs)
    hot = there.hot.toArrow().cast(here.hot.schema).sort_by([("band", "ascending"), ("value", "ascending")])
    assert hot.equals(here.hot)
    assert hot.num_rows > 0
