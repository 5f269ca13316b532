"""Settings of re-ranking: which stages, in which order, on how many results."""

from dataclasses import dataclass, field

from src.contracts.settings._problems import below

__all__ = ["STAGES", "AlphaQESettings", "BusinessSettings", "KReciprocalSettings", "RerankSettings", "rerank_problems"]

STAGES = ("alpha_qe", "k_reciprocal", "business")


@dataclass
class AlphaQESettings:
    """Alpha query expansion.

    Attributes:
        alpha: weight of a neighbour is its score to this power; 0 weighs all alike.
        neighbours: results that the query moves towards.
    """

    alpha: float = 3.0
    neighbours: int = 5


@dataclass
class KReciprocalSettings:
    """k-reciprocal re-ranking.

    Attributes:
        k1: neighbours among which an image must be to be reciprocal.
        k2: neighbours, itself included, whose encodings are averaged.
        weight: share of the original distance, from 0 to 1.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3


@dataclass
class BusinessSettings:
    """Business re-ranking; weights are on the scale of the scores, 0 switches a wish off.

    Attributes:
        in_stock: bonus of what is in stock; above 2 all of it comes first.
        price: bonus of what costs as much as the median of the first results.
        freshness: bonus of what was listed just now (when the newest image of the gallery was).
        half_life_days: days in which freshness halves.
    """

    in_stock: float = 0.05
    price: float = 0.02
    freshness: float = 0.02
    half_life_days: float = 30.0


@dataclass
class RerankSettings:
    """Stages after the search, each measured.

    Attributes:
        stages: any of `alpha_qe`, `k_reciprocal`, `business`, in the order in which they run.
        depth: results that are re-ranked; those beyond keep their places.
        timed: queries that are re-ranked one at a time for the milliseconds.
        alpha_qe: of the stage of that name.
        k_reciprocal: of the stage of that name.
        business: of the stage of that name.
    """

    stages: list[str] = field(default_factory=list)
    depth: int = 100
    timed: int = 100
    alpha_qe: AlphaQESettings = field(default_factory=AlphaQESettings)
    k_reciprocal: KReciprocalSettings = field(default_factory=KReciprocalSettings)
    business: BusinessSettings = field(default_factory=BusinessSettings)


def rerank_problems(rerank: RerankSettings) -> list[str]:
    """What in these settings cannot work, a line each."""
    problems = [
        f"`rerank.stages`: {stage!r} is none of {', '.join(STAGES)}" for stage in rerank.stages if stage not in STAGES
    ]
    if len(set(rerank.stages)) < len(rerank.stages):
        problems.append(f"`rerank.stages=[{','.join(rerank.stages)}]`: a stage stands there twice")
    if not rerank.alpha_qe.alpha >= 0:
        problems.append(f"`rerank.alpha_qe.alpha={rerank.alpha_qe.alpha}`: must not be negative")
    if not 0 <= rerank.k_reciprocal.weight <= 1:
        problems.append(f"`rerank.k_reciprocal.weight={rerank.k_reciprocal.weight}`: must lie in 0..1")
    business = rerank.business
    for name in ("in_stock", "price", "freshness"):
        # Beyond, scores could not be told apart in float32.
        if not 0 <= getattr(business, name) <= 10:
            problems.append(f"`rerank.business.{name}={getattr(business, name)}`: must lie in 0..10")
    if not business.half_life_days > 0:
        problems.append(f"`rerank.business.half_life_days={business.half_life_days}`: must be above 0")
    # Metrics reach down to 10.
    problems += below(rerank, "rerank", {"depth": 10, "timed": 1})
    problems += below(rerank.alpha_qe, "rerank.alpha_qe", {"neighbours": 1})
    return problems + below(rerank.k_reciprocal, "rerank.k_reciprocal", {"k1": 1, "k2": 1})
