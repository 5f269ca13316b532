"""The answer to a search whose photo cannot be searched: items by words, what sells, any items."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serve.errors import Problem
from serve.pipeline.current import CurrentHits, Found, page
from serve.pipeline.query import Query
from serve.pipeline.threads import ThreadPools
from serve.schemas import Rung
from serve.stages import Stages
from src.search.changed_gallery import AnyGallery
from src.search.gallery import Hit

__all__ = ["Fallback"]

Candidates = Callable[[], Sequence[str]]
"""Finds ids of items, best first."""

_SPARE = 3
"""Candidates for each result wanted: filters on price and stock drop some."""
_MOST = 2_000


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """Tries each rung until one has a result: words, trending items, any items that meet the filters.

    Attributes:
        threads: look-ups at once; 0: one for each core.
    """

    current: CurrentHits
    pools: ThreadPools
    threads: int = 0

    async def answer(
        self, query: Query, gallery: AnyGallery, stages: Stages, *, leave_out: str | None = None
    ) -> tuple[Rung, Found]:
        """The rung that answers a search that cannot compare images, and hits without scores, none of them `leave_out`.

        Raises `Problem` 503 where no rung has an item.
        """
        rungs: list[tuple[Rung, Candidates]] = [
            ("text", lambda: self._by_words(query, gallery)),
            ("trending", lambda: gallery.selling(query.categories)),
            ("text", lambda: gallery.any_items(_MOST, filters=query.lasting)),
        ]
        for rung, candidates in rungs:
            found = await self._listed(candidates, query, gallery, stages, leave_out)
            if found.hits:
                return rung, found
        detail = "photos cannot be searched at the moment, and no item meets the filters; try again"
        raise Problem(503, kind="search-unavailable", detail=detail, headers={"Retry-After": "2"})

    async def by_words(self, query: Query, gallery: AnyGallery, stages: Stages) -> Found:
        """Items whose text has all words of the query."""
        return await self._listed(lambda: self._by_words(query, gallery), query, gallery, stages, None)

    def _by_words(self, query: Query, gallery: AnyGallery) -> list[str]:
        # Filters are applied afterwards, so more are looked up than are wanted.
        most = _MOST if query.filters else _SPARE * (query.offset + query.k)
        return gallery.by_words(query.words, most) if query.words.strip() else []

    async def _listed(
        self, candidates: Candidates, query: Query, gallery: AnyGallery, stages: Stages, leave_out: str | None
    ) -> Found:
        filters = query.filters if self.current.decided_by_bundle(query) else query.lasting

        def look_up() -> list[Hit]:
            return gallery.listed([name for name in candidates()[:_MOST] if name != leave_out], filters=filters)

        listed = await self.pools.run("lookup", look_up, stages, threads=self.threads)
        hits, fresh = await self.current.admitted(listed, query, stages)
        return Found(page(hits, query), fresh)
