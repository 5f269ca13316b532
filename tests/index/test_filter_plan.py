"""What is chosen, and that the choice is the cheaper one."""

import itertools

import pytest

from src.index.filter_plan import graph_step, plan_filter


def chosen(passing: int, rows: int = 1_000_000, **kwargs: float) -> str:
    return plan_filter(rows=rows, passing=passing, k=10, dim=512, **kwargs).way


def test_selective_filters_are_scanned_and_wide_ones_searched() -> None:
    assert [chosen(rows) for rows in (0, 1, 10, 1_000, 10_000)] == ["scan"] * 5
    assert [chosen(rows) for rows in (100_000, 500_000, 1_000_000)] == ["graph"] * 3


def test_the_boundary_falls_with_the_number_of_vectors() -> None:
    """Scan ~ rate x rows, graph ~ 1 / rate: the rates at which they meet go with one over the root of the rows."""

    def boundary(rows: int) -> float:
        return next(p / 10_000 for p in range(1, 10_001) if chosen(rows * p // 10_000, rows) == "graph")

    at = {rows: boundary(rows) for rows in (100_000, 1_000_000, 10_000_000)}
    assert 0.05 < at[100_000] < 0.1
    assert at[100_000] / at[10_000_000] == pytest.approx(10, rel=0.1)
    assert at[100_000] / at[1_000_000] == pytest.approx(10**0.5, rel=0.1)


def test_what_lies_far_from_the_query_is_scanned() -> None:
    assert chosen(500_000, lift=1.0) == "graph"
    assert chosen(500_000, lift=0.0) == "scan"
    assert chosen(500_000, lift=1e-3) == "scan"
    # And few rows that lie near are searched for.
    assert chosen(5_000) == "scan"
    assert chosen(5_000, lift=150.0) == "graph"


def test_a_graph_is_worth_its_risk_and_never_dearer_than_half_a_scan_more() -> None:
    for rows, rate, k, lift, ef in itertools.product(
        (1, 9, 1000, 10**5, 10**7), (0, 1e-4, 0.03, 0.5, 1), (1, 10, 300), (0.01, 1.0, 20.0), (16, 64)
    ):
        passing = round(rate * rows)
        plan = plan_filter(rows=rows, passing=passing, k=k, dim=512, lift=lift, ef_search=ef)
        if plan.way == "scan":
            assert (plan.depth, plan.cost) == (0, passing)
            continue
        assert k <= plan.depth < rows
        assert graph_step(512) * max(ef, plan.depth) < passing / 2
        assert plan.cost < passing


def test_a_graph_step_costs_more_short_rows_than_long_ones() -> None:
    assert 40 < graph_step(64) < 90
    assert 8 < graph_step(512) < 16
    assert graph_step(10**6) >= 1
