"""One search, stage by stage."""

import time
from collections.abc import Mapping

import numpy as np

from serve.bundle.engine import Engine
from serve.errors import Problem
from serve.observe.metrics import Metrics
from serve.path.asked import Asked
from serve.path.workers import Workers
from serve.schemas import Result, Results

__all__ = ["Pipeline"]


class Pipeline:
    """Takes a query through decode, embed and search. Each stage is a job of its own, so that one can be replaced."""

    def __init__(self, *, engine: Engine, workers: Workers, metrics: Metrics) -> None:
        self.engine = engine
        self._workers = workers
        self._metrics = metrics

    async def search(self, data: bytes, asked: Asked) -> Results:
        """Items that look like a photo.

        Raises:
            ImageError: the photo cannot be read.
            Problem: 422, the encoder makes nothing of it.
        """
        started = time.perf_counter()
        engine = self.engine
        pixels, decode = await self._workers.run("decode", lambda: engine.preprocess(data))
        vector, embed = await self._workers.run("embed", lambda: engine.embed(pixels))
        if not np.isfinite(vector).all():
            raise Problem(422, kind="no-embedding", detail="the encoder has no usable embedding for this image")
        results, search = await self._workers.run(
            "search", lambda: engine.described(engine.search(vector, asked.k, asked.filters))
        )
        return self._answer(results, asked.k, {"decode": decode, "embed": embed, "search": search}, started)

    async def similar(self, item_id: str, asked: Asked) -> Results:
        """Items that look like an item.

        Raises:
            Problem: 404, no such item.
        """
        started = time.perf_counter()
        engine = self.engine
        rows = engine.catalogue.rows_of_item(item_id)
        if not len(rows):
            raise Problem(404, kind="unknown-item", detail=f"this bundle has no item {item_id!r}")
        results, search = await self._workers.run(
            "search", lambda: engine.described(engine.similar(rows, asked.k, asked.filters))
        )
        return self._answer(results, asked.k, {"search": search}, started)

    def _answer(self, results: list[Result], k: int, seconds: Mapping[str, float], started: float) -> Results:
        self._metrics.results.observe(len(results))
        timings = {**seconds, "total": time.perf_counter() - started}
        return Results(
            results=results,
            bundle_id=self.engine.bundle.bundle_id,
            k=k,
            timings_ms={stage: round(1000 * value, 3) for stage, value in timings.items()},
        )
