"""One search, from the request to the answer."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from serve.breaker import Breaker, BreakerState
from serve.deadline import Deadline
from serve.errors import Problem
from serve.metrics import Metrics
from serve.pipeline.batcher import Search
from serve.pipeline.current import CurrentHits, Find, Found
from serve.pipeline.embedder import Embedder
from serve.pipeline.fallback import Fallback
from serve.pipeline.guard import SearchFailedError, guarded
from serve.pipeline.observer import Observer
from serve.pipeline.query import Query
from serve.pipeline.threads import ThreadPools
from serve.schemas import Result, Results, Rung
from serve.stages import Stages
from src.index.filters import AnyOf, Condition
from src.search.box import Box
from src.search.changed_gallery import AnyGallery
from src.search.gallery import Hit, UnknownItemError
from src.search.regions import Region

if TYPE_CHECKING:
    from src.search.milvus_gallery import MilvusGallery

__all__ = ["Pipeline"]

_MILVUS_CALLS = 64
"""At once: each holds a thread that waits for the network."""


@dataclass(kw_only=True, eq=False)
class Pipeline:
    """Runs searches in one bundle.

    Attributes:
        gallery: the newest state of the bundle's items; each request takes one, and uses it to its end.
        breaker: the index's.
        image_path: from an image's id to the URL path of its thumbnail.
        observer: counts what is asked, for drift; None where nothing is counted.
        milvus: the gallery, where its vectors are in Milvus; None where they are here.
    """

    bundle_id: str
    gallery: Callable[[], AnyGallery]
    embedder: Embedder
    pools: ThreadPools
    metrics: Metrics
    current: CurrentHits
    breaker: Breaker
    image_path: Callable[[str], str]
    observer: Observer | None = None
    milvus: "MilvusGallery | None" = None

    def __post_init__(self) -> None:
        """Make the fallbacks."""
        self._threads = 0 if self.milvus is None else _MILVUS_CALLS
        self._fallback = Fallback(current=self.current, pools=self.pools, threads=self._threads)

    async def search(self, data: bytes, query: Query, deadline: Deadline, *, request_id: str = "") -> Results:
        """Items that look like a photo, or like the part of it in the query's box.

        Raises:
            ImageError: the photo cannot be read.
            Problem: 422, the encoder has no embedding for it; 503, nothing can be found; 504, too late.
        """
        stages = Stages(self.metrics)
        gallery = self._gallery(query)
        rung: Rung = "search"
        box = None if query.box == "auto" else query.box
        async with deadline.enforced():
            try:
                if query.box == "auto":
                    embedded, box = await self.embedder.embed_dominant(data, deadline, stages)
                else:
                    search = self._on_encoder_thread(gallery, query)
                    embedded = await self.embedder.embed(data, box, deadline, stages, search=search)
                if "embed" not in stages.seconds and not self.embedder.encoder_answers:
                    rung = "cache"
                find = self._find(partial(gallery.search, embedded.vector), deadline, stages)
                if embedded.hits is not None:
                    stages.record("search", waited=None, worked=embedded.searched)
                    find = self._given(embedded.hits, deadline)
                found = await self.current.found(find, query, stages)
                if self.observer is not None:
                    plain = not query.filters and not query.offset
                    self.observer.see(embedded, data, found.hits[0] if found.hits and plain else None, request_id)
            except SearchFailedError:
                rung, found = await self._fallback.answer(query, gallery, stages)
        answer = self._answer(found, rung, query, stages, box)
        # It was fitted on such searches, and says nothing of others.
        if rung in ("search", "cache") and query.dedupe == "item" and not (query.filters or query.box or query.offset):
            answer.confidence = self.embedder.searcher.estimate(found.hits)
        return answer

    async def similar(self, item_id: str, query: Query, deadline: Deadline) -> Results:
        """Items that look like an item.

        Raises:
            Problem: 404, no such item; 503, nothing can be found; 504, too late.
        """
        stages = Stages(self.metrics)
        gallery = self._gallery(query)
        rung: Rung = "search"
        find = self._find(partial(gallery.similar, item_id), deadline, stages)
        async with deadline.enforced():
            try:
                found = await self.current.found(find, query, stages)
            except UnknownItemError:
                raise _unknown(item_id) from None
            except SearchFailedError:
                own = await self.pools.run("lookup", lambda: gallery.listed([item_id]), stages, threads=self._threads)
                if not own and self.milvus is None:
                    raise _unknown(item_id) from None
                like = _in_category(query, own[0].row["category"]) if own else query
                rung, found = await self._fallback.answer(like, gallery, stages, leave_out=item_id)
        return self._answer(found, rung, query, stages)

    async def by_words(self, query: Query, deadline: Deadline) -> Results:
        """Items whose text has all words of the query; raises `Problem` 504."""
        stages = Stages(self.metrics)
        async with deadline.enforced():
            found = await self._fallback.by_words(query, self._gallery(query), stages)
        return self._answer(found, "text", query, stages)

    async def regions(self, data: bytes, most: int, deadline: Deadline) -> list[Region]:
        """The objects in a photo, best first; raises `ImageError`, and `Problem` 503 or 504."""
        async with deadline.enforced():
            return await self.embedder.regions(data, most, Stages(self.metrics))

    def _gallery(self, query: Query) -> AnyGallery:
        """The items as they are now, which includes the write that the query names: here, every one that is done."""
        if self.milvus is None or query.read_after is None:
            return self.gallery()
        return self.milvus.after(query.read_after)

    def _on_encoder_thread(self, gallery: AnyGallery, query: Query) -> Search | None:
        """The request's search, for the encoder's thread; None where the index is not called, or more than once."""
        if self.milvus is not None:  # The encoder would wait for the network.
            return None
        if self.breaker.state is not BreakerState.CLOSED or not self.current.decided_by_bundle(query):
            return None
        return partial(gallery.search, k=query.k, filters=query.filters, offset=query.offset, dedupe=query.dedupe)

    def _find(self, search: Callable[..., list[Hit]], deadline: Deadline, stages: Stages) -> Find:
        async def find(k: int, filters: Sequence[Condition], offset: int, dedupe: str) -> list[Hit]:
            work = partial(search, k, filters=filters, offset=offset, dedupe=dedupe)
            run = partial(self.pools.run, "search", work, stages, threads=self._threads)
            try:
                return await guarded(self.breaker, deadline, run)
            except SearchFailedError:
                if self.milvus is not None:  # The call may go on for long; a fallback must not wait as well.
                    self.milvus.note_failure()
                raise

        return find

    def _given(self, hits: list[Hit] | Exception, deadline: Deadline) -> Find:
        """The outcome of the search on the encoder's thread, for the index's breaker."""

        async def outcome() -> list[Hit]:
            if isinstance(hits, Exception):
                raise hits
            return hits

        async def find(*_: object) -> list[Hit]:
            return await guarded(self.breaker, deadline, outcome)

        return find

    def _answer(self, found: Found, rung: Rung, query: Query, stages: Stages, box: Box | None = None) -> Results:
        self.metrics.results.observe(len(found.hits))
        self.metrics.rungs.labels(rung).inc()
        return Results(
            results=[
                Result(**row, thumbnail=self.image_path(row["image_id"]), score=score, rank=rank)
                for rank, (score, row) in enumerate(found.hits, start=1 + query.offset)
            ],
            rung=rung,
            fresh=found.fresh,
            bundle_id=self.bundle_id,
            k=query.k,
            offset=query.offset,
            box=None if box is None else astuple(box),
            timings_ms=stages.milliseconds() if query.timings else None,
        )


def _unknown(item_id: str) -> Problem:
    return Problem(404, kind="unknown-item", detail=f"there is no item {item_id!r}")


def _in_category(query: Query, category: str | None) -> Query:
    """The query narrowed to a category, unless it names some."""
    if category is None or query.categories:
        return query
    return replace(query, filters=[*query.filters, AnyOf("category", frozenset({category}))])
