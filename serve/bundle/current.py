"""The bundle that answers: a request holds one from its start to its answer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from serve.bundle.opened import Opened

__all__ = ["Current", "Place"]


@dataclass(eq=False)
class Place:
    """An opened bundle, and how many hold it: each request that it answers, and `Current` until it is replaced."""

    opened: Opened | None
    holders: int = 1
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Note that one holder has let go, and set `drained` after the last."""
        self.holders -= 1
        if not self.holders:
            self.drained.set()


class Current:
    """The bundle for new requests. Only the event loop's thread uses it, so an exchange is one step."""

    def __init__(self, opened: Opened) -> None:
        self._place = Place(opened)

    @contextmanager
    def hold(self) -> Iterator[Opened]:
        """The bundle of one request, open until the block ends. Hold it once: held twice, it may be two bundles."""
        place = self._place
        assert place.opened is not None
        place.holders += 1
        try:
            yield place.opened
        finally:
            place.release()

    def swap(self, opened: Opened) -> Place:
        """Give `opened` to all requests that start from now on, and return the place of the bundle before."""
        old, self._place = self._place, Place(opened)
        old.release()
        return old
