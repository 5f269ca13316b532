"""One search, stage by stage."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial

import numpy as np

from serve.breaker import Breaker, BreakerState
from serve.bundle.engine import Engine
from serve.bundle.filters import Filters
from serve.errors import Problem
from serve.observe.metrics import Metrics
from serve.path.ahead import SearchAhead
from serve.path.asked import Asked
from serve.path.box import Box
from serve.path.current_items import CurrentItems, Find, Found
from serve.path.deadline import Deadline
from serve.path.detector import Region
from serve.path.embedder import Embedder
from serve.path.guard import SearchFailedError, guarded
from serve.path.ladder import Ladder
from serve.path.stages import Stages
from serve.path.workers import Workers
from serve.schemas import Result, Results, Rung
from serve.store.store import StoreUnavailableError

__all__ = ["Pipeline"]

Search = Callable[..., tuple[np.ndarray, np.ndarray]]
"""`Engine.search` or `Engine.similar` of one query: `(k, filters, *, offset, dedupe)` to scores and rows."""


class Pipeline:
    """Takes a query through embedding and search."""

    def __init__(
        self,
        *,
        engine: Engine,
        embedder: Embedder,
        workers: Workers,
        metrics: Metrics,
        current: CurrentItems,
        ladder: Ladder,
        breaker: Breaker,
    ) -> None:
        """Put the stages together.

        Args:
            engine: the bundle's.
            embedder: of the same engine.
            workers: the threads that search.
            metrics: where searches are counted.
            current: knows price and stock.
            ladder: answers where images cannot be compared.
            breaker: the index's.
        """
        self.engine = engine
        self._embedder = embedder
        self._current = current
        self._ladder = ladder
        self._breaker = breaker
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
        box = None if asked.box == "auto" else asked.box
        ahead: SearchAhead | None = None
        rung: Rung = "search"
        async with deadline.enforced():
            try:
                if asked.box == "auto":
                    vector, box = await self._embedder.embed_dominant(data, deadline, stages)
                else:
                    ahead = self._ahead(engine, asked)
                    vector = await self._embedder.embed(data, box, deadline, stages, then=ahead)
                if "embed" not in stages.seconds and not self._embedder.encoder_answers:
                    rung = "cache"
                find = self._find(engine, partial(engine.search, vector), deadline, stages, ahead)
                found = await self._current.found(find, asked, stages)
            except SearchFailedError:
                rung, found = await self._ladder.answer(asked, engine.catalogue, stages)
        return self._answer(found, rung, asked, stages, started, box)

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

        rung: Rung = "search"
        async with deadline.enforced():
            try:
                find = self._find(engine, partial(engine.similar, rows), deadline, stages)
                found = await self._current.found(find, asked, stages)
            except SearchFailedError:
                like = _of_its_category(asked, engine.catalogue.listed(rows[:1])[0].category)
                rung, found = await self._ladder.answer(like, engine.catalogue, stages, leave_out=item_id)
        return self._answer(found, rung, asked, stages, started)

    async def by_words(self, asked: Asked, deadline: Deadline) -> Results:
        """Items whose text has the words that are asked for.

        Raises:
            Problem: 503, the store that knows the words does not answer; 504, too late.
        """
        started = time.perf_counter()
        stages = Stages(self._metrics)
        async with deadline.enforced():
            try:
                found = await self._ladder.by_words(asked, self.engine.now().catalogue, stages)
            except StoreUnavailableError:
                raise Problem(
                    503,
                    kind="store-unavailable",
                    detail="words cannot be searched at the moment; try again",
                    headers={"Retry-After": "2"},
                ) from None
        return self._answer(found, "text", asked, stages, started)

    async def regions(self, data: bytes, most: int, deadline: Deadline) -> list[Region]:
        """Where a photo shows objects, best first; raises `ImageError`, and `Problem` 504."""
        async with deadline.enforced():
            return await self._embedder.regions(data, most, Stages(self._metrics))

    def _ahead(self, engine: Engine, asked: Asked) -> SearchAhead | None:
        """The one search that a request makes, for the encoder's thread; None where it may make none, or several."""
        if self._breaker.state is not BreakerState.CLOSED or not self._current.as_the_bundle_says(asked):
            return None

        def search(vector: np.ndarray) -> list[Result]:
            found = engine.search(vector, asked.k, asked.filters, offset=asked.offset, dedupe=asked.dedupe)
            return engine.described(found, offset=asked.offset)

        return SearchAhead(search)

    def _find(
        self, engine: Engine, search: Search, deadline: Deadline, stages: Stages, ahead: SearchAhead | None = None
    ) -> Find:
        """Have the index searched on a thread, unless that was done ahead."""

        async def find(k: int, filters: Filters, *, offset: int, dedupe: str) -> list[Result]:
            def searched() -> list[Result]:
                return engine.described(search(k, filters, offset=offset, dedupe=dedupe), offset=offset)

            async def ask() -> list[Result]:
                if ahead is not None and ahead.done:
                    stages.record("search", waited=None, worked=ahead.seconds)
                    return ahead.found()
                return await self._workers.run("search", searched, stages)

            return await guarded(self._breaker, deadline, ask)

        return find

    def _answer(
        self, found: Found, rung: Rung, asked: Asked, stages: Stages, started: float, box: Box | None = None
    ) -> Results:
        self._metrics.results.observe(len(found.results))
        self._metrics.rungs.labels(rung).inc()
        return Results(
            results=found.results,
            rung=rung,
            fresh=found.fresh,
            bundle_id=self.engine.bundle.bundle_id,
            k=asked.k,
            offset=asked.offset,
            box=None if box is None else astuple(box),
            timings_ms=stages.milliseconds(time.perf_counter() - started) if asked.timings else None,
        )


def _of_its_category(asked: Asked, category: str | None) -> Asked:
    if category is None or asked.filters.category:
        return asked
    return replace(asked, filters=replace(asked.filters, category=frozenset({category})))
