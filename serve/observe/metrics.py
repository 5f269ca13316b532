"""What Prometheus sees."""

import functools

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from serve.observe.breaker_metrics import BreakerMetrics
from serve.observe.cache_metrics import CacheMetrics
from serve.observe.store_metrics import StoreMetrics
from src.index.live.metrics import LiveMetrics

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)
"""Bucket bounds; 50, 100 and 200 ms are the limits for search, embedding and the whole."""


class Metrics:
    """The metrics of one application, in a registry of its own, so that two in a process do not clash."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        registry = self._registry
        self.requests = Counter(
            "lookalike_requests", "Requests answered.", ["endpoint", "status"], registry=registry
        )  # fmt: skip
        self.request_seconds = Histogram(
            "lookalike_request_seconds", "From the request's head to the answer's end.", ["endpoint"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "lookalike_stage_seconds", "Work of one stage of a search, waiting excluded.", ["stage"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.wait_seconds = Histogram(
            "lookalike_wait_seconds", "Wait of one stage for a thread or for its batch.", ["stage"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_size = Histogram(
            "lookalike_batch_images", "Images of one batch of the encoder.", buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )  # fmt: skip
        self.batch_queue = Gauge(
            "lookalike_batch_queue", "Decoded images that wait for the encoder.", registry=registry
        )
        self.batch_retries = Counter(
            "lookalike_batch_retries", "Batches that failed and were tried again image by image.", registry=registry
        )
        self.shared = Counter(
            "lookalike_shared_embeddings", "Searches that took the embedding of an equal image in flight.",
            registry=registry,
        )  # fmt: skip
        self._dropped = Counter(
            "lookalike_dropped", "Images dropped before the encoder: nobody waited for them any more.", ["reason"],
            registry=registry,
        )  # fmt: skip
        # Kept: `labels` takes longer than what is done with what it gives.
        self.answered = functools.cache(self.requests.labels)
        self.took = functools.cache(self.request_seconds.labels)
        self.dropped = functools.cache(self._dropped.labels)
        self.stage = functools.cache(lambda stage: (self.wait_seconds.labels(stage), self.stage_seconds.labels(stage)))
        self.results = Histogram(
            "lookalike_results", "Results of one search.", buckets=(0, 1, 5, 10, 20, 50, 100), registry=registry
        )
        self.in_flight = Gauge(
            "lookalike_searches_in_flight", "Searches admitted and not yet answered.", registry=registry
        )
        self.uploads = Gauge("lookalike_uploads", "Searches whose body is arriving.", registry=registry)
        self.rejected = Counter("lookalike_rejected", "Searches refused with 503 at the door.", registry=registry)
        self.refused = Counter(
            "lookalike_refused", "Requests refused for their key: missing, wrong, of too low a role, too often.",
            ["reason"], registry=registry,
        )  # fmt: skip
        self.fetches = Counter(
            "lookalike_image_url_fetches", "Photos asked for by web address.", ["outcome"], registry=registry
        )
        self.freshness = Histogram(
            "lookalike_freshness_lag_seconds", "From the call that changes an item until searches see it.", ["change"],
            buckets=(*_SECONDS, 5.0, 10.0, 30.0), registry=registry,
        )  # fmt: skip
        self.live_rows = Gauge(
            "lookalike_live_rows", "Images of the live index: found, in the delta, dead in the main index.", ["kind"],
            registry=registry,
        )  # fmt: skip
        self.live_merges = Gauge(
            "lookalike_live_merges", "Merges since the live index was opened.", ["result"], registry=registry
        )
        self.rollouts = Counter(
            "lookalike_rollouts", "Bundles that were to be served: taken, unchanged, failed.", ["result"],
            registry=registry,
        )  # fmt: skip
        self.breakers = BreakerMetrics(registry)
        self.cache = CacheMetrics(registry)
        self.store = StoreMetrics(registry)
        self.rungs = Counter(
            "lookalike_rungs", "Searches by what answered them: search, cache, text, trending.", ["rung"],
            registry=registry,
        )  # fmt: skip
        self.bundle = Gauge("lookalike_bundle_images", "Images in the index.", ["bundle_id"], registry=registry)

    def live(self, measured: LiveMetrics) -> None:
        """Note how the live index is doing."""
        for kind, rows in (("found", measured.rows), ("delta", measured.delta_rows), ("dead", measured.tombstones)):
            self.live_rows.labels(kind).set(rows)
        self.live_merges.labels("taken").set(measured.merges)
        self.live_merges.labels("failed").set(measured.merges_failed)

    def exposition(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return generate_latest(self._registry)
