"""The re-ranking stages, prepared for one gallery."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import ConfigError
from src.contracts.settings.rerank import BusinessSettings, RerankSettings
from src.eval.embedded import Embedded
from src.index.reranking.alpha_query_expansion import alpha_query_expansion
from src.index.reranking.business import business_boost, freshness, price_proximity, typical_price
from src.index.reranking.candidates import Candidates
from src.index.reranking.k_reciprocal import k_reciprocal

__all__ = ["Stage", "make_stages"]

Stage = Callable[[Candidates, np.ndarray], Candidates]
"""Takes candidates and their gallery rows, int64 of shape (queries, depth); returns candidates with new scores."""


def make_stages(settings: RerankSettings, gallery: Embedded) -> dict[str, Stage]:
    """Make the stages, by name, in the order in which they run.

    Raises:
        ConfigError: the gallery lacks a column that a stage needs.
    """
    alpha, reciprocal = settings.alpha_qe, settings.k_reciprocal
    makers: dict[str, Callable[[], Stage]] = {
        "alpha_qe": lambda: (
            lambda found, rows: alpha_query_expansion(found, alpha=alpha.alpha, neighbours=alpha.neighbours)
        ),
        "k_reciprocal": lambda: (
            lambda found, rows: k_reciprocal(found, k1=reciprocal.k1, k2=reciprocal.k2, weight=reciprocal.weight)
        ),
        "business": lambda: _business(settings.business, gallery),
    }
    return {name: makers[name]() for name in settings.stages}


def _business(settings: BusinessSettings, gallery: Embedded) -> Stage:
    """Bonuses for stock, price and freshness; an unknown value gives no bonus.

    The reference price is the median of the first results', since the query's own price would reveal the right item.
    """
    in_stock = _numbers(gallery, "in_stock", settings.in_stock)
    prices = _numbers(gallery, "price", settings.price)
    listed = _numbers(gallery, "listed_at", settings.freshness)
    fresh = freshness(listed, float(np.nanmax(listed)) if settings.freshness else 0.0, settings.half_life_days)

    def stage(found: Candidates, rows: np.ndarray) -> Candidates:
        there = prices[rows]
        scores = business_boost(
            found.scores,
            in_stock=np.nan_to_num(in_stock[rows]),
            price_proximity=price_proximity(there, typical_price(there, found.scores)),
            freshness=fresh[rows],
            in_stock_weight=settings.in_stock,
            price_weight=settings.price,
            freshness_weight=settings.freshness,
        )
        return Candidates(found.queries, found.vectors, scores)

    return stage


def _numbers(gallery: Embedded, name: str, weight: float) -> np.ndarray:
    """A column as float64, times in seconds since the epoch, NaN where null; all NaN without a column and a weight."""
    column = gallery.attribute(name)
    if column is None:
        if weight:
            raise ConfigError(
                f"`rerank.business.{name if name != 'listed_at' else 'freshness'}={weight}`: the gallery has no column "
                f"{name}, or nothing in it; set the weight to 0, or map the column with `data.columns.{name}=...`"
            )
        return np.full(len(gallery), np.nan)
    try:
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
            return np.asarray(pc.divide(micros.cast(pa.float64()), 1e6).to_numpy(), dtype=np.float64)
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    except pa.ArrowException as error:
        if not weight:
            return np.full(len(gallery), np.nan)
        raise ConfigError(f"`rerank.business`: column {name} holds {column.type}, no numbers or times") from error
