"""How a live index is kept."""

from dataclasses import dataclass

from src.contracts.errors import ConfigError
from src.contracts.settings import INDEX_LAYOUTS

__all__ = ["LiveSettings"]


_LAYOUTS = ("auto", *(name for name in INDEX_LAYOUTS if name.startswith(("exact", "hnsw"))))


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """Fixed when the index is created.

    Attributes:
        layout: of the main index: `auto` (by its size, see `choose_layout`), `exact` or an HNSW layout (the
            others need vectors to learn from, which a new index has not).
        m: HNSW links per vector and level.
        ef_construction: HNSW candidates while building.
        ef_search: HNSW candidates while searching.
        merge_rows: a merge starts in the background when the delta's rows and the main index's tombstones reach it, or
            where that is fewer, a quarter of the main index's rows, but at least 500; 0: only `merge()` merges. Upserts
            wait while four times `merge_rows` are in the delta.
        min_recall: recall@10 against exact search that a merged index must reach, or it is not taken.
        gate_queries: queries of that measurement.
    """

    layout: str = "auto"
    m: int = 32
    ef_construction: int = 200
    ef_search: int = 64
    merge_rows: int = 20_000
    min_recall: float = 0.95
    gate_queries: int = 200

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        problems = []
        if self.layout not in _LAYOUTS:
            problems.append(f"`layout={self.layout}`: must be one of {', '.join(_LAYOUTS)}")
        if self.merge_rows < 0:
            problems.append(f"`merge_rows={self.merge_rows}`: must be 0 (never by itself) or more")
        if not 0 <= self.min_recall <= 1:
            problems.append(f"`min_recall={self.min_recall}`: must lie between 0 and 1")
        problems += [
            f"`{name}={value}`: must be at least {least}"
            for name, value, least in (
                ("m", self.m, 2),
                ("ef_construction", self.ef_construction, 1),
                ("ef_search", self.ef_search, 1),
                ("gate_queries", self.gate_queries, 1),
            )
            if value < least
        ]
        if problems:
            raise ConfigError("\n".join(problems))
