"""What the embedding cache tells an operator."""

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["CacheMetrics"]


class CacheMetrics:
    """Lookups and writes by level (`local`, `redis`) and outcome."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lookups = Counter(
            "lookalike_cache_lookups",
            "Embeddings looked up: hit, miss, foreign (a value that is no embedding), error (also: too late), "
            "skipped (breaker open).",
            ["level", "outcome"], registry=registry,
        )  # fmt: skip
        self.writes = Counter(
            "lookalike_cache_writes",
            "Embeddings written to Redis: stored, refused (by Redis), error, skipped (breaker open), dropped (too many "
            "were waiting).",
            ["outcome"], registry=registry,
        )  # fmt: skip
        self.waiting = Gauge("lookalike_cache_writes_waiting", "Embeddings to be written.", registry=registry)
        self.local_bytes = Gauge("lookalike_cache_local_bytes", "Size of the cache in the process.", registry=registry)
        self.local_entries = Gauge("lookalike_cache_local_entries", "Embeddings in it.", registry=registry)
