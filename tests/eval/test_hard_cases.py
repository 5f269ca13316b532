"""Worst queries and confused pairs against loops over the lists."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from src.eval.hard_cases import confused_pairs, hard_cases, worst_queries, write_hard_cases
from tests.eval.query_tables import Query, make_table, random_queries


def ahead_of(query: Query) -> list[tuple[str, str, float, int]]:
    """The results before the first hit."""
    found = []
    for result in query[3]:
        if result[1] == query[1]:
            break
        found.append(result)
    return found


def test_confused_pairs_are_counted_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    for _ in range(80):
        queries = random_queries(rng, int(rng.integers(1, 25)))
        answerable = [query for query in queries if query[2] > 0]
        directed = Counter(
            (query[1], item) for query in answerable for item in {result[1] for result in ahead_of(query)}
        )
        asked = Counter(query[1] for query in answerable)
        expected = {}
        for a, b in directed:
            pair = (min(a, b), max(a, b))
            there, back = directed[pair], directed[pair[::-1]]
            expected[pair] = (there + back, (there, back), (asked[pair[0]], asked[pair[1]]), pair[0][0] == pair[1][0])
        found = confused_pairs(make_table(queries), 100)
        assert {pair.items: (pair.count, pair.by_item, pair.queries, pair.same_product) for pair in found} == expected
        keys = [(-pair.count, -pair.rate, pair.items) for pair in found]
        assert keys == sorted(keys)
        by_image = {query[0]: query for query in queries}
        for pair in found:
            assert pair.rate == pytest.approx(pair.count / sum(pair.queries))
            query = by_image[pair.query_image_id]
            shown = next(result for result in query[3] if result[0] == pair.found_image_id)
            assert {query[1], shown[1]} == set(pair.items)
            best = max(
                result[2]
                for other in answerable
                for result in ahead_of(other)
                if {other[1], result[1]} == set(pair.items)
            )
            assert pair.score == pytest.approx(best) == pytest.approx(shown[2])
        assert confused_pairs(make_table(queries), 2) == found[:2]


def test_worst_queries_are_ordered_by_precision_then_rank_then_margin() -> None:
    rng = np.random.default_rng(1)
    for _ in range(80):
        queries = random_queries(rng, int(rng.integers(1, 25)))
        expected = []
        for query in queries:
            _, item, positives, results = query
            if not positives:
                continue
            rank = next((place + 1 for place, result in enumerate(results) if result[1] == item), None)
            wrong = [result for result in results if result[1] != item]
            right = results[rank - 1][2] if rank else results[-1][2] if results else None
            margin = wrong[0][2] - right if wrong else None
            expected.append((float(rank == 1), 1 / (rank or 50), margin, query[0], rank is None))
        expected.sort(key=lambda case: (case[0], case[1], -(-np.inf if case[2] is None else round(case[2], 6))))
        found = worst_queries(make_table(queries), 100)
        assert [case.first_rank for case in found] == [round(1 / case[1]) for case in expected]
        ours = {case.image_id: case for case in found}
        assert len(ours) == len(expected)
        for precision, _, margin, image, unlisted in expected:
            case = ours[image]
            assert (case.map_at_r, case.at_least) == (precision, unlisted)
            assert (case.margin is None) == (margin is None) == (case.found_image_id is None)
            if margin is not None:
                assert case.margin == pytest.approx(margin, abs=1e-6)
        margins = [(case[0], case[1], case[2]) for case in expected]
        again = [(case.map_at_r, 1 / case.first_rank, case.margin) for case in found]
        for one, other in zip(margins, again, strict=True):
            assert one[:2] == pytest.approx(other[:2])
            assert one[2] == (None if other[2] is None else pytest.approx(other[2], abs=1e-6))


def test_a_miss_at_the_same_score_is_ahead_and_queries_without_a_positive_are_not_asked() -> None:
    table = make_table(
        [
            ("q0", "A0", 1, [("g0", "B0", 0.5, 0), ("g1", "A0", 0.5, 3), ("g2", "B1", 0.4, 0)]),
            ("q1", "A1", 0, [("g0", "B0", 0.9, 0)]),
        ]
    )
    (pair,) = confused_pairs(table, 9)
    assert (pair.items, pair.count, pair.queries) == (("A0", "B0"), 1, (1, 0))
    (case,) = worst_queries(table, 9)
    assert (case.image_id, case.first_rank, case.margin, case.at_least) == ("q0", 2, 0.0, False)


def test_an_item_counts_once_a_query_however_many_images_it_has_there() -> None:
    results = [("g0", "B0", 0.9, 0), ("g1", "B0", 0.8, 0), ("g2", "A0", 0.1, 3)]
    (pair,) = confused_pairs(make_table([("q0", "A0", 1, results)]), 9)
    assert (pair.count, pair.found_image_id) == (1, "g0")


def test_all_cases_are_written_as_json(tmp_path: Path) -> None:
    table = make_table(random_queries(np.random.default_rng(2), 30))
    write_hard_cases(table, tmp_path / "out" / "hard_cases.json", 4)
    written = json.loads((tmp_path / "out" / "hard_cases.json").read_text())
    assert written == json.loads(json.dumps(hard_cases(table, 4)))
    assert {name: len(cases) for name, cases in written.items()} == {
        "worst_queries": 4,
        "confused_pairs": 4,
        "suspected_labels": 4,
    }
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["hard_cases.json"]


def test_where_nothing_is_wrong_there_is_nothing_to_list() -> None:
    fine = make_table([("q0", "A0", 1, [("g0", "A0", 0.9, 3)]), ("q1", "A1", 0, [])])
    cases = hard_cases(fine)
    assert cases["confused_pairs"] == cases["suspected_labels"] == []
    (case,) = cases["worst_queries"]
    assert (case["margin"], case["found_item_id"], case["map_at_r"]) == (None, None, 1.0)
    nothing = make_table([("q0", "A0", 0, [])])
    assert hard_cases(nothing) == {"worst_queries": [], "confused_pairs": [], "suspected_labels": []}
