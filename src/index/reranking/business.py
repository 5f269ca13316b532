"""Business re-ranking: what can be sold, costs about the same, and is new comes earlier, at a cost in relevance."""

import numpy as np

__all__ = ["business_boost", "freshness", "price_proximity", "typical_price"]

_DAY = 86_400.0


def business_boost(
    scores: np.ndarray,
    *,
    in_stock: np.ndarray | None = None,
    price_proximity: np.ndarray | None = None,
    freshness: np.ndarray | None = None,
    in_stock_weight: float = 0.0,
    price_weight: float = 0.0,
    freshness_weight: float = 0.0,
) -> np.ndarray:
    """Scores and a bonus for each of three wishes, on the scale of the scores.

    A weight of 0.05 lets a wish outweigh 0.05 of cosine. Cosines lie within 2 of each other, so `in_stock_weight` above
    2 puts everything in stock before everything else.

    Args:
        scores: float32 of shape (queries, depth), -inf where there is no result.
        in_stock: of the same shape, 1 in stock, 0 not or not known.
        price_proximity: of the same shape, from 0 to 1.
        freshness: of the same shape, from 0 to 1.
        in_stock_weight: bonus of what is in stock.
        price_weight: bonus of what has exactly the wanted price.
        freshness_weight: bonus of what was listed just now.

    Returns:
        float32 of shape (queries, depth).
    """
    boosted = scores.astype(np.float64)
    for wish, weight in (
        (in_stock, in_stock_weight),
        (price_proximity, price_weight),
        (freshness, freshness_weight),
    ):
        if wish is not None and weight:
            boosted = boosted + weight * np.asarray(wish, dtype=np.float64)
    return boosted.astype(np.float32)


def price_proximity(prices: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The smaller of two prices over the greater: 1 where they are equal, 0.5 at half or double.

    Args:
        prices: float of shape (queries, depth), NaN where not known.
        wanted: float of shape (queries,), NaN where not known.

    Returns:
        float64 of the shape of `prices`; 0 where a price is not known or not above 0.
    """
    reference = np.broadcast_to(wanted[:, None], prices.shape)
    known = (prices > 0) & (reference > 0) & np.isfinite(prices) & np.isfinite(reference)
    smaller = np.minimum(prices, reference, out=np.zeros(prices.shape), where=known)
    greater = np.maximum(prices, reference, out=np.ones(prices.shape), where=known)
    return smaller / greater


def typical_price(prices: np.ndarray, scores: np.ndarray, first: int = 5) -> np.ndarray:
    """The median price of each query's best results: a guess at the wanted price that knows nothing of the answer.

    Args:
        prices: float of shape (queries, depth), NaN where not known.
        scores: float32 of the same shape, -inf where there is no result.
        first: results that are asked, those with a price.

    Returns:
        float64 of shape (queries,), NaN where no result has a price.
    """
    scores = np.where(np.isfinite(prices), scores, -np.inf)
    # Of equal scores the cheaper comes first: the order of the list decides nothing.
    best = np.lexsort((prices, -scores), axis=-1)[:, :first]
    chosen = np.where(
        np.take_along_axis(scores, best, axis=1) > -np.inf, np.take_along_axis(prices, best, axis=1), np.nan
    )
    typical = np.full(len(prices), np.nan)
    known = ~np.isnan(chosen).all(axis=1)
    typical[known] = np.nanmedian(chosen[known], axis=1)
    return typical


def freshness(listed: np.ndarray, now: float, half_life_days: float = 30.0) -> np.ndarray:
    """1 for what was listed now (or is listed for later), halved with each half-life.

    Args:
        listed: seconds since the epoch, float64 of any shape, NaN where not known.
        now: seconds since the epoch.
        half_life_days: days in which freshness halves.

    Returns:
        float64 of the shape of `listed`; 0 where not known.
    """
    age = np.maximum(now - np.where(np.isnan(listed), now, listed), 0) / _DAY
    return np.where(np.isnan(listed), 0.0, 0.5 ** (age / half_life_days))
