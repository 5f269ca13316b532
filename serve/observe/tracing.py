"""Spans of OpenTelemetry. Without an SDK in the process they cost a check and nothing else."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["request_span", "trace_stage"]

_NAME = "lookalike.serve"
_PROPAGATOR = TraceContextTextMapPropagator()


@contextmanager
def request_span(method: str, headers: Mapping[str, str]) -> Iterator[Span | None]:
    """The span of one request, current within the block; None where nobody collects spans.

    Args:
        method: HTTP method.
        headers: `traceparent` and `tracestate` (W3C Trace Context) make it a part of the caller's trace.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        yield None
        return
    context = _PROPAGATOR.extract(headers)
    tracer = provider.get_tracer(_NAME)
    with tracer.start_as_current_span(method, context=context, kind=SpanKind.SERVER) as span:
        yield span


def trace_stage(stage: str, *, waited: float, worked: float) -> None:
    """Add a stage that has just ended to the request's span.

    Args:
        stage: its name.
        waited: seconds until its work began, an attribute of the span.
        worked: seconds that it took then: the span's length.
    """
    if not trace.get_current_span().is_recording():
        return
    end = time.time_ns()
    attributes = {"lookalike.wait_ms": round(1000 * waited, 3)}
    tracer = trace.get_tracer_provider().get_tracer(_NAME)
    tracer.start_span(stage, start_time=end - round(worked * 1e9), attributes=attributes).end(end)
