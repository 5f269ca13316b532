from itertools import product

import numpy as np
import pytest

from src.contracts.errors import ConfigError
from src.monitoring.experiments.interleaving import preference, team_credit, team_draft


def drafts(a: list[str], b: list[str], length: int) -> list[tuple[list[str], list[int]]]:
    """All team drafts, written as the paper's algorithm: the smaller team picks, a coin decides ties."""
    found = []
    for coins in product((0, 1), repeat=length):
        page, teams, flips = [], [], iter(coins)
        while len(page) < length and ({*a} | {*b}) - {*page}:
            sizes = teams.count(0), teams.count(1)
            team = next(flips) if sizes[0] == sizes[1] else int(sizes[1] < sizes[0])
            item = next((item for item in (a, b)[team] if item not in page), None)
            if item is None:
                team = 1 - team
                item = next(item for item in (a, b)[team] if item not in page)
            page.append(item)
            teams.append(team)
        found.append((page, teams))
    return found


A, B = list("abcdef"), list("bdaxfc")


@pytest.mark.parametrize("length", [1, 3, 4, 6])
def test_credit_is_the_mean_team_of_all_drafts_with_that_page(length: int) -> None:
    every = drafts(A, B, length)
    for page, _ in every:
        teams = np.array([teams for other, teams in every if other == page])
        assert team_credit(A, B, page) == pytest.approx((2 * teams - 1).mean(axis=0)), page


def test_pages_come_as_often_as_the_paper_says_and_credit_keeps_the_expectation() -> None:
    other = list("abdcxf")
    every = drafts(A, other, 5)
    expected: dict[str, float] = {}
    for page, _ in every:
        expected["".join(page)] = expected.get("".join(page), 0) + 1 / len(every)
    rng = np.random.default_rng(0)
    seen: dict[str, int] = {}
    plain, ours = [], []
    for _ in range(8000):
        draft = team_draft(A, other, 5, rng)
        seen["".join(draft.items)] = seen.get("".join(draft.items), 0) + 1
        clicks = np.array([item in "ac" for item in draft.items])
        plain.append((2 * draft.teams[clicks] - 1).sum())
        ours.append(draft.credit[clicks].sum())
    assert {*seen} == {*expected}
    for page, share in expected.items():
        assert seen[page] / 8000 == pytest.approx(share, abs=0.02)
    # Given the clicks, the two have one mean; ours varies less.
    assert np.mean(ours) == pytest.approx(np.mean(plain), abs=4 * np.std(plain) / 8000**0.5)
    assert np.var(ours) < 0.9 * np.var(plain)


def test_equal_rankings_get_no_credit() -> None:
    draft = team_draft(A, A, 6, np.random.default_rng(0))
    assert draft.items == A
    assert draft.credit.tolist() == [0.0] * 6


def test_clicks_at_random_prefer_none() -> None:
    pages = drafts(A, B, 6)
    assert np.mean([team_credit(A, B, page).sum() for page, _ in pages]) == pytest.approx(0)


@pytest.mark.parametrize(("a", "b"), [([], []), (["a"], []), (["a"], ["a"]), (["a", "b"], ["c"])])
def test_short_rankings_give_short_pages_of_each_item_once(a: list[str], b: list[str]) -> None:
    for seed in range(5):
        draft = team_draft(a, b, 10, np.random.default_rng(seed))
        assert sorted(draft.items) == sorted({*a, *b})
        assert len(draft.credit) == len(draft.items)


def test_a_page_that_is_no_draft_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no team draft"):
        team_credit(A, B, ["f", "a"])
    with pytest.raises(ConfigError, match="at most 24"):
        team_credit(A, B, [str(k) for k in range(25)])


def test_preference_is_by_user_and_finds_the_better_ranking() -> None:
    rng = np.random.default_rng(0)
    users = [f"U{k}" for k in rng.integers(0, 300, 3000)]
    better = rng.normal(0.2, 1, 3000)
    found = preference(users, better)
    assert 0 < found.low < 0.2 < found.high
    assert found.value == pytest.approx(better.mean())
    assert found.p_value < 0.05
    # All pages of one user alike: as many observations as users.
    alike = np.repeat(rng.normal(0, 1, 30), 100)
    wide = preference([f"U{k}" for k in np.repeat(np.arange(30), 100)], alike)
    assert wide.high - wide.low > 1
