"""Why an item was found: the parts of query and item that make the two alike."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from serve.bundle.engine import Engine
from serve.errors import Problem
from serve.path.batcher import Batcher
from serve.path.box import Box
from serve.path.deadline import Deadline
from serve.path.occlusion import CELLS, covered, losses
from serve.path.stages import Stages
from serve.path.workers import Workers
from serve.schemas import Explanation, SimilarityMap
from src.contracts.preprocessing import decode, seen_area

__all__ = ["Explainer", "Places"]


class Places:
    """How many explanations may be made at once, in all opened bundles: each costs a hundred embeddings."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0  # Only the event loop's thread touches it.

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place for the block.

        Raises:
            Problem: 503, there is none.
        """
        if self._taken >= self._limit:
            raise Problem(
                503, kind="overloaded", detail=f"{self._limit} explanations are being made, which is the limit",
                headers={"Retry-After": "2"},
            )  # fmt: skip
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Explainer:
    """Explains what one opened bundle finds.

    Its images go to the encoder in the searches' own batches, one batch's worth at a time: a search that comes
    meanwhile waits for one batch more at most.
    """

    def __init__(self, *, engine: Engine, batcher: Batcher, workers: Workers, at_once: int) -> None:
        self._engine = engine
        self._batcher = batcher
        self._workers = workers
        self._at_once = at_once

    async def explain(
        self, data: bytes, box: Box | None, item_id: str, deadline: Deadline, stages: Stages
    ) -> Explanation:
        """Compare a photo with an item, cell by cell.

        Args:
            data: the photo.
            box: the part that was searched with; None for all.
            item_id: the item.
            deadline: of the request.
            stages: where times are noted.

        Raises:
            ImageError: the photo cannot be read.
            Problem: 404, no such item; 422, the encoder makes nothing of the photo; 504, too late.
        """
        started = time.perf_counter()
        engine = self._engine.now()
        rows = engine.catalogue.rows_of_item(item_id)
        if not len(rows):
            raise Problem(404, kind="unknown-item", detail=f"this bundle has no item {item_id!r}")
        async with deadline.enforced():
            query, area = await self._workers.run("decode", lambda: self._photo(data, box), stages)
            queries = await self._embedded(query, deadline)
            if not np.isfinite(queries).all():
                raise Problem(422, kind="no-embedding", detail="the encoder has no usable embedding for this image")
            vectors = engine.vectors(rows)
            best = int((vectors @ queries[0]).argmax())
            row = int(rows[best])
            picture, item_area = await self._workers.run("decode", lambda: self._picture(engine, row), stages)
            items = await self._embedded(picture, deadline)
        score, of_query = losses(queries, vectors[best])
        _, of_item = losses(items, queries[0])
        return Explanation(
            item_id=item_id,
            image_id=engine.catalogue.image_id(row),
            bundle_id=engine.bundle.bundle_id,
            score=round(min(1.0, max(-1.0, score)), 6),
            query=_map(of_query, area),
            item=_map(of_item, item_area),
            timings_ms={"total": round(1000 * (time.perf_counter() - started), 3)},
        )

    def _photo(self, data: bytes, box: Box | None) -> tuple[np.ndarray, tuple[float, ...]]:
        pixels = decode(data)
        part = pixels if box is None else box.cut(pixels)
        x, y, width, height = seen_area(self._engine.bundle.preprocessing, part.shape[1], part.shape[0])
        if box is not None:
            x, y = box.x + x * box.width, box.y + y * box.height
            width, height = width * box.width, height * box.height
        return covered(self._engine.resize(part)), (x, y, width, height)

    def _picture(self, engine: Engine, row: int) -> tuple[np.ndarray, tuple[float, ...]]:
        jpeg = engine.catalogue.picture(row)
        if not jpeg:
            raise Problem(422, kind="no-picture", detail="there is no picture of this item that could be explained")
        pixels = decode(jpeg)
        area = seen_area(engine.bundle.preprocessing, pixels.shape[1], pixels.shape[0])
        return covered(engine.resize(pixels)), area

    async def _embedded(self, copies: np.ndarray, deadline: Deadline) -> np.ndarray:
        vectors = []
        for start in range(0, len(copies), self._at_once):
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._batcher.embed(partial(copies.__getitem__, row), deadline))
                    for row in range(start, min(start + self._at_once, len(copies)))
                ]
            vectors += [task.result().vector for task in tasks]
        return np.array(vectors)


def _map(values: np.ndarray, area: tuple[float, ...]) -> SimilarityMap:
    x, y, width, height = (round(edge, 6) for edge in area)
    return SimilarityMap(
        cells=CELLS, losses=[[round(float(value), 6) for value in row] for row in values], area=(x, y, width, height)
    )
