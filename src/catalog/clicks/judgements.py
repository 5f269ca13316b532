"""Judge each (query image, item) of a log: clicked more than average, passed over, or not enough data."""

from dataclasses import dataclass

import numpy as np

from src.catalog.clicks.impressions import Impressions
from src.catalog.clicks.propensity import Propensities

__all__ = ["STRENGTHS", "Judgements", "judge"]

STRENGTHS = (0.0, 1.0, 2.0, 3.0)
"""Worth of an event, in clicks: impression, click, cart, purchase."""


@dataclass(frozen=True)
class Judgements:
    """One row for each (query image, item) that was shown. The arrays have shape (pairs,).

    Attributes:
        queries: int64, position of the query image in the log's `query_ids`.
        items: int64, position of the item in the log's `item_ids`.
        looks: float64, expected number of looks at the item: the sum of its impressions' propensities.
        worth: float64, the sum of its events' `STRENGTHS`.
        skips: float64, expected looks of impressions that were not clicked and ranked above a click.
        relevance: float64, worth of a look, shrunk towards the log's average.
        average: worth of a look in the whole log; 0 in a log without clicks.
    """

    queries: np.ndarray
    items: np.ndarray
    looks: np.ndarray
    worth: np.ndarray
    skips: np.ndarray
    relevance: np.ndarray
    average: float

    @property
    def positive(self) -> np.ndarray:
        """Relevance above the average: 0 at the average, 1 at twice the average or more; float64 of shape (pairs,)."""
        return np.clip(self.relevance / self.average - 1, 0, 1) if self.average > 0 else np.zeros(len(self.items))

    @property
    def negative(self) -> np.ndarray:
        """Relevance below the average: 0 at the average, 1 at no relevance; 0 for items that were never passed over."""
        if self.average == 0:
            return np.zeros(len(self.items))
        return np.where(self.skips > 0, np.clip(1 - self.relevance / self.average, 0, 1), 0)


def judge(shown: Impressions, propensities: Propensities, *, prior_looks: float, clip: float) -> Judgements:
    """Add up impressions, clicks and skips, each impression weighted by its propensity.

    With propensity p and worth s of an impression, its inverse-propensity estimate of the worth of a look is s / p. The
    mean of these over a pair's impressions, each with weight p (the inverse of its variance, but for a factor), is

        sum(s) / sum(p),   shrunk: (sum(s) + prior_looks * average) / (sum(p) + prior_looks)

    which is the posterior mean under a Gamma prior of that average. One click therefore does not decide: with
    `prior_looks=3`, nine looks without a click give a negative judgement of .75. Negatives need a click below them,
    since a page that was left without a click gives no information (skip-above: Joachims, KDD 2002). In the
    position-based model, which this estimate assumes, that condition is independent of the results above, and causes no
    bias.

    Args:
        shown: the impressions.
        propensities: of the same log; impressions at ranks where they are NaN are left out.
        prior_looks: number of looks of average worth in the prior; above 0.
        clip: largest inverse propensity, which limits the weight of clicks at deep ranks.

    Returns:
        A row for each pair with a usable impression, ordered by query, then item. Memory grows with the impressions.
    """
    chance = propensities.at(shown.ranks)
    usable = np.isfinite(chance)
    looks = np.maximum(np.where(usable, chance, 0), 1 / clip)[usable]
    last_click = np.zeros(int(shown.pages.max(initial=-1)) + 1, np.int64)
    np.maximum.at(last_click, shown.pages[shown.clicked], shown.ranks[shown.clicked])
    passed = (~shown.clicked & (shown.ranks < last_click[shown.pages]))[usable]
    worth = np.asarray(STRENGTHS)[shown.events[usable]]
    pairs, rows = np.unique(shown.pairs[usable], return_inverse=True)

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(rows, values, minlength=len(pairs))

    total = looks.sum()
    average = float(worth.sum() / total) if total else 0.0
    pair_looks, pair_worth = summed(looks), summed(worth)
    return Judgements(
        queries=pairs // max(len(shown.item_ids), 1),
        items=pairs % max(len(shown.item_ids), 1),
        looks=pair_looks,
        worth=pair_worth,
        skips=summed(looks * passed),
        relevance=(pair_worth + prior_looks * average) / (pair_looks + prior_looks),
        average=average,
    )
