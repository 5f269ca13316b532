"""Items as they are now, not as they were when the bundle was made."""

import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import NamedTuple, Protocol

from serve.bundle.filters import Filters
from serve.path.asked import Asked
from serve.path.stages import Stages
from serve.schemas import Result
from serve.store.store import CurrentValues, Store, StoreUnavailableError

__all__ = ["CurrentItems", "Found"]

_NEAREST = 100
"""Results that are asked for their current price and stock at least, where a filter is on these."""
_WIDER = 4
_MOST = 2000
"""Results that are asked for at most: then fewer than k are given."""


class Found(NamedTuple):
    """Results, and whether the store told the price and stock of each of them just now."""

    results: list[Result]
    fresh: bool


class Find(Protocol):
    """A search by the bundle's own values."""

    def __call__(self, k: int, filters: Filters, *, offset: int, dedupe: str) -> Awaitable[list[Result]]:
        """The k best after `offset` better ones."""
        ...


class CurrentItems:
    """Puts current prices and stock into results, and holds filters on them against these."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def found(self, find: Find, asked: Asked, stages: Stages) -> Found:
        """Search, by current values.

        Where a filter is on price or stock, the nearest items are taken whatever the bundle says of theirs, and those
        are kept that meet it now; if that are too few, items that met it when the bundle was made are added and checked
        likewise, more of them as they fall out. What is missed: an item that meets the filter only since the bundle was
        made, and is not among the nearest.

        Args:
            find: searches by the bundle's values.
            asked: what is wished for.
            stages: where the time of `store` is noted.
        """

        async def once() -> list[Result]:
            return await find(asked.k, asked.filters, offset=asked.offset, dedupe=asked.dedupe)

        if self.as_the_bundle_says(asked):
            return await self.updated(await once(), stages)
        try:
            return await self._checked(find, asked, stages)
        except StoreUnavailableError:
            return Found(await once(), fresh=False)

    def as_the_bundle_says(self, asked: Asked) -> bool:
        """Whether one search by the bundle's values finds what meets the filters now: none is on what changes."""
        return self._store.mirrors or asked.filters == asked.filters.lasting

    async def updated(self, results: list[Result], stages: Stages) -> Found:
        """The same results with current price and stock, or as they are where the store does not answer."""
        if self._store.mirrors:
            return Found(results, fresh=True)
        try:
            values = await self._values(results, stages)
        except StoreUnavailableError:
            return Found(results, fresh=False)
        return Found(_with_values(results, values), fresh=all(result.item_id in values for result in results))

    async def admitted(self, results: list[Result], filters: Filters, stages: Stages) -> Found:
        """Those that meet the filters on price and stock by their current values."""
        results, fresh = await self.updated(results, stages)
        return Found([result for result in results if filters.admits(result.price, result.in_stock)], fresh)

    async def _checked(self, find: Find, asked: Asked, stages: Stages) -> Found:
        filters, wanted = asked.filters, asked.offset + asked.k
        kept: dict[str, Result] = {}
        seen: set[str] = set()
        told: set[str] = set()

        async def keep(results: Sequence[Result]) -> None:
            unseen = [result for result in results if result.item_id not in seen]
            values = await self._values(unseen, stages)
            seen.update(result.item_id for result in unseen)
            told.update(values)
            current = _with_values(unseen, values)
            kept.update({one.item_id: one for one in current if filters.admits(one.price, one.in_stock)})

        take = max(_NEAREST, 2 * wanted)
        nearest = await find(take, filters.lasting, offset=0, dedupe="item")
        await keep(nearest)
        page = _page(kept, asked)
        if len(page) < asked.k and len(nearest) == take:
            take = 2 * wanted
            while True:
                former = await find(take, filters, offset=0, dedupe="item")
                await keep(former)
                page = _page(kept, asked)
                if len(page) == asked.k or len(former) < take or take >= _MOST:
                    break
                take = min(_WIDER * take, _MOST)
        return Found(page, fresh=all(result.item_id in told for result in page))

    async def _values(self, results: Sequence[Result], stages: Stages) -> Mapping[str, CurrentValues]:
        started = time.perf_counter()
        try:
            return await self._store.current([result.item_id for result in results])
        finally:
            stages.record("store", waited=None, worked=time.perf_counter() - started)


def _with_values(results: Sequence[Result], values: Mapping[str, CurrentValues]) -> list[Result]:
    return [
        result.model_copy(update=values[result.item_id]._asdict()) if result.item_id in values else result
        for result in results
    ]


def _page(kept: dict[str, Result], asked: Asked) -> list[Result]:
    """The best, one for each group, ranked anew."""
    groups: dict[tuple[str, bool], Result] = {}
    for result in sorted(kept.values(), key=_worse):
        by_parent = asked.dedupe == "parent" and result.parent_id is not None
        name = result.parent_id if by_parent and result.parent_id is not None else result.item_id
        groups.setdefault((name, by_parent), result)
    page = list(groups.values())[asked.offset : asked.offset + asked.k]
    return [result.model_copy(update={"rank": rank}) for rank, result in enumerate(page, start=1 + asked.offset)]


def _worse(result: Result) -> float:
    return -(result.score or 0.0)
