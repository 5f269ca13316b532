"""Over-indexing against a slow reference that ranks all candidates, and on rankings whose answer is known."""

import numpy as np
import pyarrow as pa
import pytest

from src.eval.bias import measure_bias
from src.eval.embedded import Embedded


@pytest.fixture
def rng():
    return np.random.default_rng(17)


def shop(rng, images: int, items: int, **missing: float) -> Embedded:
    item = rng.integers(0, items, images)
    color, brand = rng.integers(0, 3, items)[item], rng.integers(0, 4, items)[item]
    columns = {
        "image_id": [f"image-{n}" for n in range(images)],
        "item_id": [f"item-{n}" for n in item],
        "parent_id": [f"parent-{n // 2}" for n in item],
        "category": [f"category-{n // 2 % 5}" for n in item],
        "color": [None if rng.random() < missing.get("color", 0) else f"color-{n}" for n in color],
        "brand": [f"brand-{n}" for n in brand],
    }
    ids = (np.array(columns[name], object) for name in ("image_id", "item_id"))
    return Embedded(np.ones((images, 2), np.float32), *ids, pa.table(columns))


def reference(queries, gallery, rows, level: str, column: str, depth: int) -> np.ndarray:
    """Results' share less the ideal's, query by query, one candidate at a time."""
    found = []
    for query, results in zip(queries.attributes.to_pylist(), rows, strict=True):
        candidates = [row for row in gallery.attributes.to_pylist() if row["image_id"] != query["image_id"]]
        if level == "item":
            known = {row["item_id"] for row in candidates}
            firsts = {row["item_id"]: row for row in reversed(gallery.attributes.to_pylist())}
            candidates = [firsts[item] for item in known]
        results = [gallery.attributes.to_pylist()[row] for row in results[:depth] if row >= 0]
        if query[column] is None or not results:
            found.append(np.nan)
            continue
        left, ideal = len(results), 0.0
        for name in ("item_id", "parent_id", "category", None):
            group = [row for row in candidates if name is None or row[name] == query[name]]
            candidates = [row for row in candidates if row not in group]
            taken = min(left, len(group))
            if group:
                ideal += taken * np.mean([row[column] == query[column] for row in group])
            left -= taken
        ideal /= len(results) - left
        found.append(np.mean([row[column] == query[column] for row in results]) - ideal)
    return np.array(found)


@pytest.mark.parametrize("level", ["item", "image"])
@pytest.mark.parametrize("leave_one_out", [True, False])
def test_the_excess_is_that_of_a_slow_reference(rng, level, leave_one_out) -> None:
    gallery = shop(rng, 60, 25, color=0.1)
    queries = gallery.take(np.arange(30))
    if not leave_one_out:
        gallery = gallery.take(np.arange(30, 60))
    rows = np.array([rng.permutation(len(gallery))[:8] for _ in range(30)])
    rows[3:6, 4:] = -1
    rows[6] = -1
    for entry in measure_bias(queries, gallery, rows, queries.item_ids, level=level, depth=6):
        expected = reference(queries, gallery, rows, level, entry.column, 6)
        assert entry.excess.value == pytest.approx(np.nanmean(expected))
        assert entry.excess.queries == np.isfinite(expected).sum() < 30
        assert entry.results - entry.ideal == pytest.approx(entry.excess.value)
        assert entry.excess.low < entry.excess.value < entry.excess.high


def ranked(queries: Embedded, gallery: Embedded, rng, *names: str) -> np.ndarray:
    """Gallery rows by how many of some columns they share with the query, weighted from the first; ties at random."""
    rows = []
    for query in queries.attributes.to_pylist():
        score = np.zeros(len(gallery))
        for weight, name in enumerate(reversed(names)):
            score += 2**weight * np.array([value == query[name] for value in gallery.attributes[name].to_pylist()])
        rows.append(np.argsort(-score + 0.5 * rng.random(len(gallery))))
    return np.array(rows)


def test_the_ideal_ranking_does_not_over_index_and_a_colour_ranking_does(rng) -> None:
    everything = shop(rng, 400, 200)
    queries, gallery = everything.take(np.arange(150)), everything.take(np.arange(150, 400))
    ideal = ranked(queries, gallery, rng, "item_id", "parent_id", "category")
    by_color = ranked(queries, gallery, rng, "item_id", "color")
    options = {"level": "image"}
    color, brand = measure_bias(queries, gallery, ideal, queries.item_ids, **options)
    assert (color.column, brand.column) == ("color", "brand")
    assert color.excess.low < 0 < color.excess.high
    assert brand.excess.low < 0 < brand.excess.high
    color, brand = measure_bias(queries, gallery, by_color, queries.item_ids, **options)
    assert color.results > 0.95
    assert color.excess.low > 0.4
    # Nothing was done to the brand, beyond losing what the category's items share.
    assert abs(brand.excess.value) < 0.15


def test_what_is_absent_is_left_out(rng) -> None:
    everything = shop(rng, 20, 8)
    bare = Embedded(everything.vectors, everything.image_ids, everything.item_ids)
    rows = np.tile(np.arange(5), (20, 1))
    assert measure_bias(bare, bare, rows, bare.item_ids) == []
    assert measure_bias(everything, everything, np.full((20, 3), -1), everything.item_ids) == []
    one = measure_bias(everything, everything, rows, np.zeros(20), columns=["color"])[0]
    assert (one.excess.low, one.excess.reason) == (None, "all queries are of one product")
