"""What the metadata store tells an operator."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["StoreMetrics"]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class StoreMetrics:
    """Questions by kind (`current`: price and stock; `words`; `list`) and outcome."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.asked = Counter(
            "lookalike_store_queries",
            "Questions to the metadata store: answered, kept (not asked: nothing was written since), error, late, "
            "skipped (breaker open).",
            ["kind", "outcome"], registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "lookalike_store_seconds", "From a question to the store to its answer, or to giving up.", ["kind"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.loaded = Gauge(
            "lookalike_store_items_loaded", "Items of the bundle that the store has.", registry=registry
        )
