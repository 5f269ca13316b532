"""The moment after which a request's answer is no longer awaited."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from serve.errors import Problem

__all__ = ["Deadline"]


class Deadline(NamedTuple):
    """A moment `at` on the running loop's clock, and the `seconds` that the request was given."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline of a request that starts now."""
        return cls(asyncio.get_running_loop().time() + seconds, seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, 0 after the deadline."""
        return max(0.0, self.at - asyncio.get_running_loop().time())

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining == 0.0

    def problem(self) -> Problem:
        """The answer after the deadline."""
        detail = f"no answer within {self.seconds:g} seconds; try again later"
        return Problem(504, kind="deadline-exceeded", detail=detail)

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Cancel the block at the deadline and raise `Problem` 504; stages drop their work when they are cancelled."""
        timeout = asyncio.timeout_at(self.at)
        try:
            async with timeout:
                yield
        except TimeoutError:
            if timeout.expired():
                raise self.problem() from None
            raise
