"""Results with the prices and stock of now, where the shop's database has them."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from serve.pipeline.query import Query
from serve.stages import Stages
from serve.store.store import CurrentValues, Store, StoreUnavailableError
from src.index.filters import Condition
from src.search.gallery import Hit

__all__ = ["CurrentHits", "Found"]

_NEAREST = 100
"""Hits whose current values are read at least, where a filter is on price or stock."""
_WIDER = 4
_MOST = 2_000
"""Hits whose current values are read at most; then the answer has fewer than k results."""

Find = Callable[[int, Sequence[Condition], int, str], Awaitable[list[Hit]]]
"""Searches by the bundle's values: (k, filters, offset, dedupe) to hits."""


class Found(NamedTuple):
    """Hits, and whether the price and stock of each of them are those of now."""

    hits: list[Hit]
    fresh: bool


class CurrentHits:
    """Puts current prices and stock into hits, and applies filters on them to the current values."""

    def __init__(self, store: Store | None) -> None:
        """Take the shop's database; without one, the values of the bundle and of the API are the current ones."""
        self._store = store

    def decided_by_bundle(self, query: Query) -> bool:
        """Whether one search by the bundle's values finds what meets the filters now."""
        return self._store is None or len(query.lasting) == len(query.filters)

    async def found(self, find: Find, query: Query, stages: Stages) -> Found:
        """Search by current values.

        With a filter on price or stock, the values of the nearest items are read whatever the bundle's are, and those
        that meet the filter now are kept. If they are too few, items that met it by the bundle's values are read as
        well. An item is missed if it meets the filter only since the bundle was made and is not among the nearest.
        """
        decided = self.decided_by_bundle(query)
        if not decided:
            with suppress(StoreUnavailableError):
                return await self._checked(find, query, stages)
        hits = await find(query.k, query.filters, query.offset, query.dedupe)
        return await self.updated(hits, stages) if decided else Found(hits, fresh=False)

    async def updated(self, hits: list[Hit], stages: Stages) -> Found:
        """The same hits with current values, or as they are where the database does not answer."""
        if self._store is None:
            return Found(hits, fresh=True)
        try:
            values = await self._values(hits, stages)
        except StoreUnavailableError:
            return Found(hits, fresh=False)
        return Found(_with(hits, values), fresh=all(hit.row["item_id"] in values for hit in hits))

    async def admitted(self, hits: list[Hit], query: Query, stages: Stages) -> Found:
        """The hits that meet the filters on price and stock by their current values."""
        hits, fresh = await self.updated(hits, stages)
        return Found(_admitted(hits, query), fresh)

    async def _checked(self, find: Find, query: Query, stages: Stages) -> Found:
        seen: dict[str, Hit] = {}
        known: set[str] = set()

        async def keep(hits: Sequence[Hit]) -> list[Hit]:
            unseen = [hit for hit in hits if hit.row["item_id"] not in seen]
            values = await self._values(unseen, stages)
            known.update(values)
            seen.update((hit.row["item_id"], hit) for hit in _with(unseen, values))
            return page(_admitted(seen.values(), query), query)

        depth = 2 * (query.offset + query.k)
        searches = [(query.lasting, max(_NEAREST, depth)), (query.filters, depth)]
        while depth < _MOST:
            depth = min(_WIDER * depth, _MOST)
            searches.append((query.filters, depth))
        for filters, most in searches:
            nearest = await find(most, filters, 0, "item")
            hits = await keep(nearest)
            if len(hits) == query.k or len(nearest) < most:
                break
        return Found(hits, fresh=all(hit.row["item_id"] in known for hit in hits))

    async def _values(self, hits: Sequence[Hit], stages: Stages) -> Mapping[str, CurrentValues]:
        assert self._store is not None
        started = time.perf_counter()
        try:
            return await self._store.current([hit.row["item_id"] for hit in hits])
        finally:
            stages.record("store", waited=None, worked=time.perf_counter() - started)


def page(hits: list[Hit], query: Query) -> list[Hit]:
    """Best first by score, one hit for each item or parent, cut to the query's offset and k."""
    groups: dict[tuple[str, str], Hit] = {}
    for hit in sorted(hits, key=lambda hit: -(hit.score or 0.0)):
        parent = hit.row["parent_id"] if query.dedupe == "parent" else None
        groups.setdefault(("item", hit.row["item_id"]) if parent is None else ("parent", parent), hit)
    return list(groups.values())[query.offset : query.offset + query.k]


def _admitted(hits: Iterable[Hit], query: Query) -> list[Hit]:
    return [hit for hit in hits if query.admits(hit.row["price"], hit.row["in_stock"])]


def _with(hits: Sequence[Hit], values: Mapping[str, CurrentValues]) -> list[Hit]:
    return [
        Hit(hit.score, {**hit.row, **values[hit.row["item_id"]]._asdict()}) if hit.row["item_id"] in values else hit
        for hit in hits
    ]
