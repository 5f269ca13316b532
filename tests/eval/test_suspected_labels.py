"""Labels that models doubt: against loops, and planted in the built-in shop."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from src.catalog.catalogue import open_catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import ShopSettings
from src.eval.embedded import embed_rows
from src.eval.evaluation import evaluate_embedded
from src.eval.suspected_labels import suspected_labels
from src.models.color_histogram import color_histogram
from tests.eval.query_tables import make_table, random_queries


def rescored(rng: np.random.Generator, queries: list) -> list:
    """The same queries by another model: the same results with other scores, hence in another order."""
    other = []
    for image, item, positives, results in queries:
        mixed = [(*result[:2], round(float(rng.random()), 1), result[3]) for result in results]
        other.append((image, item, positives, sorted(mixed, key=lambda result: -result[2])))
    return other


def by_hand(models: dict[str, list]) -> list[tuple]:
    votes: dict[tuple, dict] = {}
    for model, queries in models.items():
        margins, mine = [], {}
        for image, item, positives, results in queries:
            if not positives or not results:
                continue
            hit = next((result for result in results if result[1] == item), None)
            right = (hit or results[-1])[2]
            wrong = [result for result in results if result[1] != item]
            if wrong:
                margins.append(np.float32(wrong[0][2]) - np.float32(right))
            for result in results[: results.index(hit)] if hit else results:
                mine.setdefault((image, result[1]), result[2] - right)
        spread = np.std(margins) if margins else 0
        for key, margin in mine.items():
            votes.setdefault(key, {})[model] = (margin / spread if spread > 1e-9 else 0, margin)
    best: dict[str, tuple] = {}
    for (image, item), said in votes.items():
        strength = float(np.mean([strength for strength, _ in said.values()]))
        case = (
            -len(said),
            -strength,
            image,
            item,
            tuple(said),
            float(np.mean([margin for _, margin in said.values()])),
        )
        if image not in best or case[:2] < best[image][:2]:
            best[image] = case
    return sorted(best.values())


@pytest.mark.parametrize("models", [1, 3])
def test_votes_are_counted_as_by_hand(models: int) -> None:
    rng = np.random.default_rng(models)
    for _ in range(60):
        first = random_queries(rng, int(rng.integers(1, 20)))
        said = {f"m{n}": first if n == 0 else rescored(rng, first) for n in range(models)}
        found = suspected_labels({name: make_table(queries) for name, queries in said.items()}, 100)
        expected = by_hand(said)
        assert sorted(case.image_id for case in found) == sorted(case[2] for case in expected)
        assert [len(case.models) for case in found] == [-case[0] for case in expected]
        np.testing.assert_allclose([case.strength for case in found], [-case[1] for case in expected], atol=1e-4)
        margins = {case[2]: (case[3], case[4], case[5]) for case in expected}
        for case in found:
            assert case.same_product == (case.item_id[0] == case.suspected_item_id[0])
            item, names, margin = margins[case.image_id]
            if case.suspected_item_id == item:  # of equal votes either item may be named
                assert case.models == names
                assert case.margin == pytest.approx(margin, abs=1e-5)
        assert suspected_labels({name: make_table(queries) for name, queries in said.items()}, 1) == found[:1]


def test_what_models_agree_on_comes_before_what_one_is_sure_of() -> None:
    sure = [("q0", "A0", 1, [("g0", "B0", 0.9, 0), ("g1", "A0", 0.1, 3)]), ("q1", "B0", 1, [("g2", "B0", 0.9, 3)])]
    agreed = ("q1", "B0", 1, [("g3", "C0", 0.9, 0), ("g2", "B0", 0.8, 3)])
    tables = {
        "a": make_table([sure[0], agreed]),
        "b": make_table([("q0", "A0", 1, [("g1", "A0", 0.9, 3)]), agreed]),
    }
    found = suspected_labels(tables, 9)
    assert [(case.image_id, case.suspected_item_id, case.models) for case in found] == [
        ("q1", "C0", ("a", "b")),
        ("q0", "B0", ("a",)),
    ]


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """The image as 8 x 8 pixels, centred."""
    small = pixels.reshape(len(pixels), 8, 8, 8, 8, 3).mean(axis=(2, 4)).reshape(len(pixels), -1)
    return (small - small.mean(axis=1, keepdims=True) + 1e-3).astype(np.float32)


def test_labels_swapped_in_the_shop_are_found(data_settings: Callable, tmp_path: Path) -> None:
    shop = ShopSettings(parents=24, seed=3, image_size=64, sessions=0)
    catalogue = open_catalogue(data_settings(reader="shop", root=str(tmp_path / "shop"), split_by="given", shop=shop))
    rows = np.flatnonzero(pc.equal(catalogue.items["domain"], "catalogue").to_numpy())
    truth = catalogue.column("item_id", rows)
    labels = truth.copy()
    # Of products that lie far apart in the table, hence not variants of each other.
    swapped = np.linspace(0, len(rows) - 1, 8).astype(int)
    for one, other in ((0, 4), (1, 5), (2, 6), (3, 7)):
        labels[swapped[one]], labels[swapped[other]] = truth[swapped[other]], truth[swapped[one]]
    planted = set(catalogue.column("image_id", rows[swapped]))
    tables = {}
    for name, embed in (("colours", color_histogram), ("thumbnails", thumbnail)):
        embedded = embed_rows(catalogue, rows, PreprocessingSpec(size=64), embed, batch=64, what=name)
        mislabelled = replace(embedded, item_ids=labels)
        tables[name] = evaluate_embedded(mislabelled, mislabelled).per_query
    found = [case.image_id for case in suspected_labels(tables, len(planted))]
    both = np.mean([image in planted for image in found])
    print(
        len(rows),
        both,
        [np.mean([c.image_id in planted for c in suspected_labels({n: t}, 8)]) for n, t in tables.items()],
    )
    assert both > 0.5
