"""The service's Prometheus metrics."""

import functools
import logging
import os
from collections.abc import Callable, Iterable
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.process_collector import ProcessCollector

from serve.breaker import BreakerState
from serve.schemas import Rung
from src.monitoring.drift.families import FAMILIES

__all__ = ["DEPENDENCIES", "MULTIPROCESS", "Metrics"]

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client shares metrics among processes: it is set before the processes start."""

DEPENDENCIES = ("encoder", "index", "redis", "store")
"""What a circuit breaker stands before."""

STAGES = ("hash", "decode", "embed", "search", "lookup", "store")
"""Of searches."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)
"""Bounds of buckets; 50, 100 and 200 ms are the limits for search, embedding and the whole request."""

_RESULTS = (0, 1, 5, 10, 20, 50, 100)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)

_log = logging.getLogger("serve")


class Metrics:
    """The metrics of one application. Every series whose labels are known exists from the start, with the value 0."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # A second series of each counter.
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "endpoint", "status")
        self.request_seconds = self._histogram(
            "request_seconds", "From the request's head to the end of the answer.", _SECONDS, "endpoint"
        )
        self.stage_seconds = self._histogram(
            "stage_seconds", "Work of one stage of a search, without waiting.", _SECONDS, "stage"
        )
        self.wait_seconds = self._histogram("wait_seconds", "Wait of one stage for a thread.", _SECONDS, "stage")
        self.results = self._histogram("results", "Results of one search.", _RESULTS)
        self.rungs = self._counter("rungs", "Searches by what answered them.", "rung")
        self.in_flight = self._gauge("searches_in_flight", "Searches admitted and not yet answered.")
        self.upload_bytes = self._gauge("upload_bytes", "Bytes of request bodies that are arriving.")
        self.rejected = self._counter("rejected", "Requests refused with 503 for load.")
        self.refused = self._counter("refused", "Requests refused for their token.", "reason")
        self.batch_images = self._histogram("batch_images", "Images of one batch of the encoder.", _BATCHES)
        self.batch_queue = self._gauge("batch_queue", "Images that wait for the encoder.")
        self.batch_retries = self._counter("batch_retries", "Batches that failed and were run image by image.")
        self.shared_embeddings = self._counter(
            "shared_embeddings", "Searches that took the embedding of an equal image in flight."
        )
        self.dropped = self._counter("dropped", "Images dropped before the encoder ran.", "reason")
        self.cache_lookups = self._counter("cache_lookups", "Embeddings looked up in the cache.", "level", "outcome")
        self.cache_writes = self._counter("cache_writes", "Embeddings written to Redis.", "outcome")
        self.cache_bytes = self._gauge("cache_local_bytes", "Size of the embedding cache in the process.")
        self.store_queries = self._counter("store_queries", "Queries for prices and stock.", "outcome")
        self.store_seconds = self._histogram("store_seconds", "From such a query to its answer.", _SECONDS)
        self.breaker_state = self._gauge(
            "breaker_state", "A circuit breaker: 0 closed, 1 half-open, 2 open.", "dependency", mode="livemax"
        )
        self.breaker_opened = self._counter("breaker_opened", "Times that a circuit breaker opened.", "dependency")
        self.freshness = self._histogram(
            "freshness_lag_seconds", "From a request that changes an item until searches show it.",
            (*_SECONDS, 5.0, 10.0, 30.0), "change",
        )  # fmt: skip
        self.changed_images = self._gauge("changed_images", "Images of changed items, held in memory.")
        self.drift_queries = self._counter("drift_queries", "Photos counted for drift, or dropped.", "outcome")
        self.drift_windows = self._counter("drift_windows", "Windows of photos compared and written.", "result")
        self.drift_alarms = self._counter("drift_alarms", "Windows in which a family of tests has an alarm.", "family")
        self.drift_ratio = self._gauge(
            "drift_ratio", "A family's strongest test over its threshold, last window.", "family", mode="livemax"
        )
        self.drift_canary = self._counter("drift_canary", "Embeddings of the golden images.", "result")
        self.changes_pending = self._gauge(
            "changes_pending", "Shared changes of items that Milvus does not have yet.", mode="livemax"
        )
        self.rollouts = self._counter("rollouts", "Changes of the bundle.", "result")
        self.bundle_images = self._gauge("bundle_images", "Images of the bundles that are open.", "bundle_id")
        # `labels` takes longer than what is done with its result.
        self.answered = functools.cache(self.requests.labels)
        self.took = functools.cache(self.request_seconds.labels)
        self.stage = functools.cache(lambda stage: (self.wait_seconds.labels(stage), self.stage_seconds.labels(stage)))
        self._start_at_zero()

    def expect(self, endpoint: str, statuses: Iterable[int | str]) -> None:
        """Start the series of an endpoint at 0, so that the first error is an increase as well."""
        self.took(endpoint)
        for status in statuses:
            self.answered(endpoint, str(status))

    def watch(self, dependency: str) -> Callable[[BreakerState], None]:
        """The listener for the changes of one dependency's breaker; it logs them as well."""

        def changed(state: BreakerState) -> None:
            self.breaker_state.labels(dependency).set(state)
            if state is BreakerState.OPEN:
                self.breaker_opened.labels(dependency).inc()
                _log.warning("%s fails: searches are answered without it", dependency)
            elif state is BreakerState.CLOSED:
                _log.info("%s answers again", dependency)

        return changed

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes: of this process, or of all processes of the service."""
        registry = self._registry
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _start_at_zero(self) -> None:
        if MULTIPROCESS not in os.environ:
            ProcessCollector(registry=self._registry)
        for metric, values in (
            (self.rungs, get_args(Rung)),
            (self.drift_queries, ("counted", "dropped")),
            (self.drift_windows, ("written", "failed")),
            (self.drift_canary, ("same", "changed")),
            (self.drift_alarms, FAMILIES),
            (self.drift_ratio, FAMILIES),
            (self.rollouts, ("taken", "unchanged", "failed")),
            (self.refused, ("no-token", "wrong-token", "off")),
            (self.dropped, ("expired", "cancelled")),
            (self.store_queries, ("answered", "late", "error", "skipped")),
            (self.cache_writes, ("stored", "refused", "error", "skipped", "dropped")),
            (self.freshness, ("put", "patch", "delete")),
            (self.breaker_state, DEPENDENCIES),
            (self.breaker_opened, DEPENDENCIES),
            (self.stage_seconds, STAGES),
            (self.wait_seconds, STAGES),
        ):
            for value in values:
                metric.labels(value)
        for level, outcomes in (("local", ("hit", "miss")), ("redis", ("hit", "miss", "foreign", "error", "skipped"))):
            for outcome in outcomes:
                self.cache_lookups.labels(level, outcome)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"lookalike_{name}", help_text, labels, registry=self._registry)

    def _gauge(self, name: str, help_text: str, *labels: str, mode: str = "livesum") -> Gauge:
        return Gauge(f"lookalike_{name}", help_text, labels, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"lookalike_{name}", help_text, labels, buckets=buckets, registry=self._registry)
