"""What a log says of each (query image, item)."""

import time
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from src.catalog.clicks.impressions import Impressions, read_impressions
from src.catalog.clicks.judgements import STRENGTHS, Judgements, judge
from src.catalog.clicks.propensity import Propensities
from src.shop import EXAMINATION, RELEVANCE


def known(*values: float) -> Propensities:
    return Propensities(np.array(values), np.zeros(len(values)), np.zeros(len(values), np.int64))


def shown_as(*rows: tuple[int, int, int, int, int]) -> Impressions:
    """Rows of (page, query, item, rank, event)."""
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    names = np.array([f"n{n}" for n in range(10)], dtype=object)
    return Impressions(*columns, query_ids=names, item_ids=names)


def test_by_hand() -> None:
    # Page 0: passed over, clicked, not reached; page 1, the same query: the first was bought.
    shown = shown_as((0, 0, 1, 1, 0), (0, 0, 2, 2, 1), (0, 0, 3, 3, 0), (1, 0, 1, 1, 3))
    found = judge(shown, known(1.0, 0.5, 0.25), prior_looks=2, clip=10)
    assert found.items.tolist() == [1, 2, 3]
    assert found.looks.tolist() == [2.0, 0.5, 0.25]
    assert found.worth.tolist() == [3.0, 1.0, 0.0]
    assert found.skips.tolist() == [1.0, 0.0, 0.0]
    average = 4 / 2.75
    assert found.average == pytest.approx(average)
    np.testing.assert_allclose(found.relevance, [(3 + 2 * average) / 4, (1 + 2 * average) / 2.5, 2 * average / 2.25])
    # Passed over once and bought once: no negative. Never passed over: none either, though never clicked.
    assert found.negative.tolist() == [0.0, 0.0, 0.0]


def test_a_click_far_down_counts_more_than_one_at_the_top_and_not_without_limit() -> None:
    shown = shown_as((0, 0, 1, 1, 1), (0, 0, 2, 2, 1), (1, 1, 3, 3, 0), (1, 1, 4, 1, 0), (1, 1, 5, 1, 0))
    unclipped = judge(shown, known(1.0, 0.01, 0.5), prior_looks=1, clip=1000)
    assert unclipped.looks.tolist() == [1.0, 0.01, 0.5, 1.0, 1.0]
    assert unclipped.positive[1] > unclipped.positive[0] > 0
    assert judge(shown, known(1.0, 0.01, 0.5), prior_looks=1, clip=4).looks[1] == 0.25


def test_what_is_passed_over_again_and_again_becomes_a_negative_step_by_step() -> None:
    def weight(times: int) -> float:
        rows = [(n, 0, 1, 1, 0) for n in range(times)] + [(n, 0, 2, 2, 1) for n in range(times)]
        found = judge(shown_as(*rows), known(1.0, 1.0), prior_looks=3, clip=10)
        return float(found.negative[found.items == 1][0])

    weights = [weight(times) for times in (1, 3, 9, 100)]
    np.testing.assert_allclose(weights, [1 / 4, 3 / 6, 9 / 12, 100 / 103])


def test_an_abandoned_page_makes_no_negative() -> None:
    found = judge(shown_as(*((n, 0, 1, 1, 0) for n in range(50)), (99, 1, 2, 1, 1)), known(1.0), prior_looks=1, clip=5)
    assert found.relevance[0] < found.average
    assert found.negative[0] == 0


def test_ranks_without_a_propensity_are_left_out_but_their_clicks_still_end_the_page() -> None:
    shown = shown_as((0, 0, 1, 1, 0), (0, 0, 2, 3, 1), (1, 0, 3, 1, 1))
    found = judge(shown, known(1.0, np.nan, np.nan), prior_looks=1, clip=10)
    assert found.items.tolist() == [1, 3]
    assert found.skips.tolist() == [1.0, 0.0]
    assert found.average == 0.5


@pytest.mark.parametrize("rows", [[], [(0, 0, 1, 1, 0)]], ids=["empty", "no click"])
def test_a_log_without_clicks_judges_nothing(rows: list) -> None:
    found = judge(shown_as(*rows), known(1.0), prior_looks=1, clip=10)
    assert found.average == 0
    assert found.positive.sum() == found.negative.sum() == 0
    assert len(found.positive) == len(found.negative) == len(rows)


def slowly(log: pa.Table, propensity: tuple[float, ...], prior: float, clip: float) -> dict[tuple, tuple]:
    """The same, a page at a time."""
    pages: dict[tuple, dict[tuple, int]] = defaultdict(dict)
    for row in log.to_pylist():
        page = pages[row["session_id"], row["query_image_id"]]
        place = row["item_id"], row["rank"]
        page[place] = max(page.get(place, 0), ("impression", "click", "cart", "purchase").index(row["event"]))
    sums: dict[tuple, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for (_, query), page in pages.items():
        last = max((rank for (_, rank), event in page.items() if event), default=0)
        for (item, rank), event in page.items():
            look = max(propensity[rank - 1], 1 / clip)
            sums[query, item] += [look, STRENGTHS[event], look * (not event and rank < last)]
    looks, worth, _ = sum(sums.values())
    average = worth / looks
    return {key: (*row, (row[1] + prior * average) / (row[0] + prior)) for key, row in sums.items()}


def test_against_a_slow_reference_and_the_truth(shop_items: pa.Table, shop_log: pa.Table) -> None:
    shown = read_impressions(shop_log)
    found = judge(shown, known(*EXAMINATION), prior_looks=3, clip=5)
    expected = slowly(shop_log, EXAMINATION, 3, 5)
    names = list(zip(shown.query_ids[found.queries], shown.item_ids[found.items], strict=True))
    assert len(names) == len(expected)
    values = np.stack([found.looks, found.worth, found.skips, found.relevance], axis=1)
    np.testing.assert_allclose(values, [expected[name] for name in names])
    check_order_of_grades(found, names, shop_items)


def check_order_of_grades(found: Judgements, names: list[tuple[str, str]], items: pa.Table) -> None:
    """A look is worth more where the item is more relevant, and pairs are judged so."""
    facts = {row["item_id"]: (row["parent_id"], row["category"]) for row in items.to_pylist()}
    item_of = dict(zip(items["image_id"].to_pylist(), items["item_id"].to_pylist(), strict=True))
    pairs = [(facts[item_of[query]], facts[item], item_of[query] == item) for query, item in names]
    grades = np.array([3 if same else 2 if a[0] == b[0] else int(a[1] == b[1]) for a, b, same in pairs])
    means = [found.worth[grades == grade].sum() / found.looks[grades == grade].sum() for grade in range(4)]
    assert means == sorted(means)
    assert len(set(RELEVANCE)) == len(means)
    right = grades == 3
    assert found.negative[right].mean() < 0.1 < found.positive[right].mean()
    other = (grades < 2) & (found.skips > 2)
    assert other.sum() > 20
    assert found.negative[other].mean() > 0.2 > 0.05 > found.positive[other].mean()


def test_a_million_impressions_take_seconds() -> None:
    rng = np.random.default_rng(0)
    count = 1_000_000
    names = np.arange(10_000).astype(str).astype(object)
    shown = Impressions(
        np.repeat(np.arange(count // 10), 10),
        np.repeat(rng.integers(0, 10_000, count // 10), 10),
        rng.integers(0, 10_000, count),
        np.tile(np.arange(1, 11), count // 10),
        rng.integers(0, 4, count) * (rng.random(count) < 0.1),
        names,
        names,
    )
    start = time.process_time()
    judge(shown, known(*EXAMINATION), prior_looks=3, clip=10)
    assert time.process_time() - start < 10
