"""The times of one request's stages, for metrics, traces and `timings_ms`."""

import time

from opentelemetry import trace

from serve.metrics import Metrics

__all__ = ["Stages"]


class Stages:
    """Collects the times of one request; `seconds` has the work of each stage that was reached, without waiting."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def record(self, stage: str, *, waited: float | None, worked: float) -> None:
        """Add a stage that has ended, in seconds; `waited` is None where it follows another one on the same thread."""
        waits, works = self._metrics.stage(stage)
        if waited is not None:
            waits.observe(waited)
        works.observe(worked)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + worked
        if trace.get_current_span().is_recording():
            end = time.time_ns()
            tracer = trace.get_tracer_provider().get_tracer("lookalike.serve")
            attributes = {"lookalike.wait_ms": round(1000 * (waited or 0.0), 3)}
            tracer.start_span(stage, start_time=end - round(worked * 1e9), attributes=attributes).end(end)

    def milliseconds(self) -> dict[str, float]:
        """Milliseconds of each stage's work; `wait` is the time between them, `total` the time since the start."""
        total = time.perf_counter() - self._started
        times = {**self.seconds, "wait": max(0.0, total - sum(self.seconds.values())), "total": total}
        return {name: round(1000 * value, 3) for name, value in times.items()}
