"""Where spans go: to a collector, when the operator names one."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

__all__ = ["exporting"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_log = logging.getLogger("serve")


@contextmanager
def exporting() -> Iterator[None]:
    """Send spans over OTLP/HTTP while the block runs, if one of OpenTelemetry's variables names an endpoint.

    The SDK reads its other variables itself (`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, headers, timeouts). A
    collector that does not answer costs spans, never a request: they are sent from a thread, out of a bounded queue.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED", "") == "true":
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        _log.warning("no traces: %s; install `.[tracing]`", error)
        yield
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", "lookalike")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: os.environ["OTEL_SERVICE_NAME"]}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()  # Sends what is left, within the exporter's own time limit.
