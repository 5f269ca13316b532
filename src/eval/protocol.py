"""The protocol of an evaluation: what is ranked, what is left out, what is measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from src.contracts.settings import GRADES, METRICS, EvaluateSettings

__all__ = ["Protocol", "protocol_of"]

_LEAST_DEPTH = 10


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The settings that define the metrics; two runs are comparable only where their protocols are equal.

    Attributes:
        level: `item` ranks items; `image` ranks images, as the literature on leave-one-out sets does.
        aggregate: an item's score is its `best` image's, or the cosine with the `mean` of its images.
        exclude: a column; gallery images that share the query's value of it are left out of its ranking.
        merge_queries: a column; query images that share a value of it are one query, see `merged_queries`.
        listed_after: an ISO date; only queries of items that were listed after it are evaluated.
        metrics: the metrics that take a K, and their Ks.
        grades: column -> grade of a result that shares the query's value of it, for graded NDCG.
        gain: of a grade g, `exponential` (2^g - 1) or `linear` (g).
    """

    level: str = "item"
    aggregate: str = "best"
    exclude: str | None = None
    merge_queries: str | None = None
    listed_after: str | None = None
    metrics: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {name: tuple(ks) for name, ks in METRICS.items()}
    )
    grades: Mapping[str, int] = field(default_factory=lambda: dict(GRADES))
    gain: str = "exponential"

    @property
    def depth(self) -> int:
        """Number of results that are kept for each query."""
        return max([_LEAST_DEPTH, *(k for ks in self.metrics.values() for k in ks)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for metadata and fingerprints."""
        values = asdict(self) | {"metrics": {name: list(ks) for name, ks in self.metrics.items()}}
        if self.merge_queries is None:  # so that evaluations from before this setting stay comparable
            del values["merge_queries"]
        return values


def protocol_of(settings: EvaluateSettings) -> Protocol:
    """The protocol that the settings describe."""
    return Protocol(
        level=settings.level,
        aggregate=settings.aggregate,
        exclude=settings.exclude,
        merge_queries=settings.merge_queries,
        listed_after=settings.listed_after,
        metrics={name: tuple(sorted(set(ks))) for name, ks in settings.metrics.items()},
        grades=dict(settings.grades),
        gain=settings.gain,
    )
