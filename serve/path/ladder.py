"""What a search is answered with when photos cannot be searched."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

import anyio.to_thread
import numpy as np

from serve.bundle.catalogue import Catalogue
from serve.bundle.trending import Trending
from serve.errors import Problem
from serve.path.asked import Asked
from serve.path.current_items import CurrentItems, Found
from serve.path.stages import Stages
from serve.schemas import Result, Rung
from serve.store.store import Store, StoreUnavailableError

__all__ = ["Ladder"]

_SPARE = 3
"""So many times the wanted results are looked up by words: some are not in the bundle."""
_MOST = 2_000
"""Names that are looked at: a list of what sells may be as long as the catalogue."""


class Ladder:
    """Steps down: items that words find, items that sell, any items that pass the filters."""

    def __init__(self, *, trending: Trending, store: Store, current: CurrentItems) -> None:
        """Put it up for one bundle; the store and its current values outlive it."""
        self._trending = trending
        self._store = store
        self._current = current

    async def answer(
        self, asked: Asked, catalogue: Catalogue, stages: Stages, *, leave_out: str | None = None
    ) -> tuple[Rung, Found]:
        """Items for a search whose photo cannot be searched.

        Args:
            asked: its wishes.
            catalogue: the items that there are.
            stages: where the times are noted.
            leave_out: id of an item that is not to be among them.

        Returns:
            The rung, `text` or `trending`, and what it gave, without scores.

        Raises:
            Problem: 503, no rung has an item.
        """
        steps: list[tuple[Rung, Callable[[], Awaitable[Sequence[str]]]]] = [
            ("text", lambda: self._with_words(asked)),
            ("trending", lambda: self._selling(asked)),
            ("text", lambda: self._any(asked)),
        ]
        for rung, step in steps:
            try:
                names = await step()
            except StoreUnavailableError:
                continue
            found = await self._passing((name for name in names if name != leave_out), asked, catalogue, stages)
            if found.results:
                return rung, found
        raise Problem(
            503,
            kind="search-unavailable",
            detail="photos cannot be searched at the moment, and there is nothing to show instead; try again",
            headers={"Retry-After": "2"},
        )

    async def by_words(self, asked: Asked, catalogue: Catalogue, stages: Stages) -> Found:
        """Items whose text has the words that are asked for.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        return await self._passing(await self._with_words(asked), asked, catalogue, stages)

    async def _with_words(self, asked: Asked) -> list[str]:
        if not asked.q:
            return []
        return await self._store.by_words(asked.q, asked.filters.conditions(), _SPARE * (asked.offset + asked.k))

    async def _selling(self, asked: Asked) -> list[str]:
        return self._trending.items(asked.filters.category)

    async def _any(self, asked: Asked) -> list[str]:
        return await self._store.listed(asked.filters.conditions(), _SPARE * (asked.offset + asked.k))

    async def _passing(self, names: Iterable[str], asked: Asked, catalogue: Catalogue, stages: Stages) -> Found:
        """Those of the items that are in the bundle and meet all conditions now."""

        def look_up() -> list[Result]:
            firsts = [rows[0] for name in islice(names, _MOST) if len(rows := catalogue.rows_of_item(name))]
            rows = np.array(firsts, dtype=np.int64)
            allowed = catalogue.filters.mask(asked.filters.lasting.conditions())
            return catalogue.listed(rows if allowed is None else rows[allowed[rows]])

        listed = await anyio.to_thread.run_sync(look_up)
        found = await self._current.admitted(listed, asked.filters, stages)
        one_each = _of_each(found.results, asked.dedupe)[asked.offset : asked.offset + asked.k]
        ranked = [one.model_copy(update={"rank": rank}) for rank, one in enumerate(one_each, start=1 + asked.offset)]
        return Found(ranked, found.fresh)


def _of_each(results: list[Result], dedupe: str) -> list[Result]:
    seen: set[str] = set()
    kept = []
    for result in results:
        if dedupe != "parent" or result.parent_id is None or result.parent_id not in seen:
            kept.append(result)
        if result.parent_id is not None:
            seen.add(result.parent_id)
    return kept
