"""Interleaving: both rankings on one page, so that each user compares them.

Team draft (Radlinski, Kurup, Joachims, CIKM 2008): in each round a coin decides which ranking picks first; each then
picks its best item that is not on the page yet. Clicks on a ranking's picks are its credit. The coin's outcome is
noise: where both rankings could have put an item where it stands, whose pick it was says nothing. So a click is
credited by the probability of either team given the page, over all coins (Hofmann, Whiteson, de Rijke, CIKM 2011, for
their method). That has the same expectation as the plain credit, and never a larger variance (Rao and Blackwell).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.contracts.errors import ConfigError
from src.monitoring.experiments.looks import Arm, difference_at_looks

__all__ = ["Draft", "Preference", "preference", "team_credit", "team_draft"]


@dataclass(frozen=True)
class Draft:
    """One page. Log the credits with it: an analysis then needs neither ranking.

    Attributes:
        items: what is shown, best first.
        teams: who picked each item, int64 of shape (items,): 0 for A, 1 for B.
        credit: of a click on each item, float64 of shape (items,); see `team_credit`.
    """

    items: list[str]
    teams: np.ndarray
    credit: np.ndarray


@dataclass(frozen=True)
class Preference:
    """What users prefer.

    Attributes:
        value: mean credit of B less that of A, for each page; above 0 where B is preferred.
        low: lower end of the confidence sequence, clustered by user.
        high: upper end.
        p_value: sequential.
    """

    value: float
    low: float
    high: float
    p_value: float


def team_draft(a: Sequence[str], b: Sequence[str], length: int, rng: np.random.Generator) -> Draft:
    """One page of two rankings.

    Args:
        a: items of ranking A, best first.
        b: items of ranking B.
        length: items of the page; fewer where the rankings have fewer.
        rng: the coins.
    """
    coins = rng.integers(0, 2, (length + 1) // 2).tolist()
    page = _drafted(a, b, length, coins)
    items = [item for item, _ in page]
    return Draft(items, np.array([team for _, team in page], dtype=np.int64), team_credit(a, b, items))


def team_credit(a: Sequence[str], b: Sequence[str], items: Sequence[str]) -> np.ndarray:
    """P(B picked it | page) - P(A picked it | page) for each item: what a click on it says in favour of B.

    Args:
        a: ranking A.
        b: ranking B.
        items: the page; at most 24 items, since all coins are tried.

    Returns:
        float64 of shape (items,), from -1 to 1; 0 for items that either would have put there.

    Raises:
        ConfigError: no coins lead to this page, or it is longer than 24.
    """
    if len(items) > 24:
        raise ConfigError(f"a page of {len(items)} items: at most 24 are interleaved")
    total, ways = np.zeros(len(items)), 0
    # Prefixes of the page that the coins so far may have led to, with their teams.
    prefixes: list[list[int]] = [[]]
    for start in range(0, len(items), 2):
        grown = []
        for teams in prefixes:
            for coin in (0, 1):
                pair = _round(a, b, items[:start], coin)[: len(items) - start]
                if [item for item, _ in pair] == list(items[start : start + 2]):
                    grown.append(teams + [team for _, team in pair])
        prefixes = grown
    for teams in prefixes:
        total, ways = total + (2 * np.array(teams) - 1), ways + 1
    if ways == 0:
        raise ConfigError(f"page {list(items)[:5]}...: is no team draft of these rankings")
    return total / ways


def preference(users: Sequence[str], credits: np.ndarray, *, alpha: float = 0.05) -> Preference:
    """Which ranking users prefer, with an interval that may be read at any number of pages.

    Looks are taken at ten equal parts of the log.

    Args:
        users: who saw each page, in the order of time.
        credits: each page's sum of the credits of its clicks, float of shape (pages,).
        alpha: error of both tails, over all looks.
    """
    pages = np.arange(len(credits))
    _, user = np.unique(np.asarray(users), return_inverse=True)
    look = pages * 10 // max(len(pages), 1)
    y, n = np.zeros((user.max(initial=0) + 1, 10)), np.zeros((user.max(initial=0) + 1, 10))
    np.add.at(y, (user, look), credits)
    np.add.at(n, (user, look), 1.0)
    nobody = np.zeros((0, 10))
    at = difference_at_looks(Arm(nobody, nobody), Arm(y.cumsum(axis=1), n.cumsum(axis=1)), alpha=alpha)
    return Preference(float(at.value[-1]), float(at.low[-1]), float(at.high[-1]), at.p_value())


def _drafted(a: Sequence[str], b: Sequence[str], length: int, coins: Sequence[int]) -> list[tuple[str, int]]:
    """Items and their teams (0 for A, 1 for B)."""
    page: list[tuple[str, int]] = []
    for coin in coins:
        page += _round(a, b, [item for item, _ in page], coin)
    return page[:length]


def _round(a: Sequence[str], b: Sequence[str], taken: Sequence[str], coin: int) -> list[tuple[str, int]]:
    """The two picks of a round; B picks first where the coin is 1."""
    used, picks = {*taken}, []
    for team in (coin, 1 - coin):
        item = next((item for item in (a, b)[team] if item not in used), None)
        if item is not None:
            used.add(item)
            picks.append((item, team))
    return picks
