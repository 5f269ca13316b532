"""One search, stage by stage."""

import asyncio
import time
from dataclasses import astuple

from serve.bundle.engine import Engine
from serve.errors import Problem
from serve.observe.metrics import Metrics
from serve.path.asked import Asked
from serve.path.box import Box
from serve.path.deadline import Deadline
from serve.path.detector import Region
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
        """Items that look like a photo, or like the part of it that is asked for.

        Raises:
            ImageError: the photo cannot be read.
            Problem: 422, the encoder makes nothing of it; 504, too late.
        """
        started = time.perf_counter()
        stages = Stages(self._metrics)
        engine = self.engine.now()
        async with deadline.enforced():
            box: Box | None
            if asked.box == "auto":
                vector, box = await self._embedder.embed_dominant(data, deadline, stages)
            else:
                vector, box = await self._embedder.embed(data, asked.box, deadline, stages), asked.box

            def searched() -> list[Result]:
                found = engine.search(vector, asked.k, asked.filters, offset=asked.offset, dedupe=asked.dedupe)
                return engine.described(found, offset=asked.offset)

            results = await self._workers.run("search", searched, stages)
        return self._answer(results, asked, stages, started, box)

    async def search_each(self, photos: list[bytes], asked: Asked, deadline: Deadline) -> list[Results | Exception]:
        """Search by several photos at once.

        Returns:
            For each photo the answer, or what `search` raises for it: one that fails does not touch the others.
        """

        async def one(data: bytes) -> Results | Exception:
            try:
                return await self.search(data, asked, deadline)
            except Exception as error:
                return error

        return await asyncio.gather(*(one(data) for data in photos))

    async def similar(self, item_id: str, asked: Asked, deadline: Deadline) -> Results:
        """Items that look like an item.

        Raises:
            Problem: 404, no such item; 504, too late.
        """
        started = time.perf_counter()
        stages = Stages(self._metrics)
        engine = self.engine.now()
        rows = engine.catalogue.rows_of_item(item_id)
        if not len(rows):
            raise Problem(404, kind="unknown-item", detail=f"this bundle has no item {item_id!r}")

        def searched() -> list[Result]:
            found = engine.similar(rows, asked.k, asked.filters, offset=asked.offset, dedupe=asked.dedupe)
            return engine.described(found, offset=asked.offset)

        async with deadline.enforced():
            results = await self._workers.run("search", searched, stages)
        return self._answer(results, asked, stages, started)

    async def regions(self, data: bytes, most: int, deadline: Deadline) -> list[Region]:
        """Where a photo shows objects, best first; raises `ImageError`, and `Problem` 504."""
        async with deadline.enforced():
            return await self._embedder.regions(data, most, Stages(self._metrics))

    def _answer(
        self, results: list[Result], asked: Asked, stages: Stages, started: float, box: Box | None = None
    ) -> Results:
        self._metrics.results.observe(len(results))
        return Results(
            results=results,
            bundle_id=self.engine.bundle.bundle_id,
            k=asked.k,
            offset=asked.offset,
            box=None if box is None else astuple(box),
            timings_ms=stages.milliseconds(time.perf_counter() - started) if asked.timings else None,
        )
