"""The moment after which nobody waits for an answer any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from serve.errors import Problem

__all__ = ["Deadline"]


@dataclass(frozen=True)
class Deadline:
    """A moment of the running loop's clock, handed down a request's way.

    Attributes:
        at: the moment, in seconds of `asyncio`'s clock.
        seconds: the time that the request was given.
    """

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline of a request that begins now."""
        return cls(asyncio.get_running_loop().time() + seconds, seconds)

    @property
    def remaining(self) -> float:
        """Seconds left; 0 once it has passed."""
        return max(0.0, self.at - asyncio.get_running_loop().time())

    @property
    def expired(self) -> bool:
        """Whether it has passed."""
        return self.remaining == 0.0

    def problem(self) -> Problem:
        """What a request is told that did not make it."""
        return Problem(
            504, kind="deadline-exceeded", detail=f"no answer within {self.seconds:g} seconds; try again later"
        )

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Cancel the body when the moment comes: every stage drops what it holds for a cancelled request.

        Raises:
            Problem: 504.
        """
        try:
            async with asyncio.timeout_at(self.at) as timeout:
                yield
        except TimeoutError:
            if not timeout.expired():
                raise
            raise self.problem() from None
