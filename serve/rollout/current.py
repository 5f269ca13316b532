"""Which bundle answers: each request holds one, and a replaced one is closed when the last request has let go of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from serve.rollout.opened import Opened

__all__ = ["Current", "Replaced"]


@dataclass(eq=False)
class _Place:
    """An opened bundle and its holders."""

    opened: Opened
    holders: int = 0
    replaced: bool = False
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self) -> None:
        if self.replaced and not self.holders:
            self.drained.set()


class Current:
    """The opened bundle that new requests get. Only the event loop's thread touches it, so that a swap is one step."""

    def __init__(self, opened: Opened) -> None:
        self._place = _Place(opened)

    @contextmanager
    def hold(self) -> Iterator[Opened]:
        """The bundle of one request: everything that it is answered from, until the block ends.

        Hold it once, at the start; what is held twice may be two bundles.
        """
        place = self._place
        place.holders += 1
        try:
            yield place.opened
        finally:
            place.holders -= 1
            place.settle()

    def swap(self, opened: Opened) -> "Replaced":
        """Give `opened` to all requests that start from now on."""
        old, self._place = self._place, _Place(opened)
        old.replaced = True
        old.settle()
        return Replaced(old)


class Replaced:
    """An opened bundle that no new request gets."""

    def __init__(self, place: _Place) -> None:
        self._place = place

    async def drained(self) -> None:
        """Return once nobody holds it."""
        await self._place.drained.wait()

    def take(self) -> Opened:
        """The bundle, once; from here on the caller alone keeps it in memory."""
        opened = self._place.opened
        del self._place
        return opened
