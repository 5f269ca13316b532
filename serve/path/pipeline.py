"""One search, stage by stage."""

import time

from serve.bundle.engine import Engine
from serve.errors import Problem
from serve.observe.metrics import Metrics
from serve.path.asked import Asked
from serve.path.deadline import Deadline
from serve.path.embedder import Embedder
from serve.path.stages import Stages
from serve.path.workers import Workers
from serve.schemas import Result, Results

__all__ = ["Pipeline"]


class Pipeline:
    """Takes a query through embedding and search."""

    def __init__(self, *, engine: Engine, embedder: Embedder, workers: Workers, metrics: Metrics) -> None:
        self.engine = engine
        self._embedder = embedder
        self._workers = workers
        self._metrics = metrics

    async def search(self, data: bytes, asked: Asked, deadline: Deadline) -> Results:
        """Items that look like a photo.

        Raises:
            ImageError: the photo cannot be read.
            Problem: 422, the encoder makes nothing of it; 504, too late.
        """
        started = time.perf_counter()
        stages = Stages(self._metrics)
        engine = self.engine
        async with deadline.enforced():
            vector = await self._embedder.embed(data, None, deadline, stages)
            results = await self._workers.run(
                "search", lambda: engine.described(engine.search(vector, asked.k, asked.filters)), stages
            )
        return self._answer(results, asked.k, stages, started)

    async def similar(self, item_id: str, asked: Asked, deadline: Deadline) -> Results:
        """Items that look like an item.

        Raises:
            Problem: 404, no such item; 504, too late.
        """
        started = time.perf_counter()
        stages = Stages(self._metrics)
        engine = self.engine
        rows = engine.catalogue.rows_of_item(item_id)
        if not len(rows):
            raise Problem(404, kind="unknown-item", detail=f"this bundle has no item {item_id!r}")
        async with deadline.enforced():
            results = await self._workers.run(
                "search", lambda: engine.described(engine.similar(rows, asked.k, asked.filters)), stages
            )
        return self._answer(results, asked.k, stages, started)

    def _answer(self, results: list[Result], k: int, stages: Stages, started: float) -> Results:
        self._metrics.results.observe(len(results))
        timings = {**stages.seconds, "total": time.perf_counter() - started}
        return Results(
            results=results,
            bundle_id=self.engine.bundle.bundle_id,
            k=k,
            timings_ms={stage: round(1000 * value, 3) for stage, value in timings.items()},
        )
