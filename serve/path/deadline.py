"""The moment after which nobody waits for an answer any more."""

import asyncio
from dataclasses import dataclass
from types import TracebackType

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

    def enforced(self) -> "_Enforced":
        """A block that is cancelled when the moment comes: every stage drops what it holds for a cancelled request.

        It raises `Problem` 504 then.
        """
        return _Enforced(self)


class _Enforced:
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._timeout = asyncio.timeout_at(deadline.at)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:  # Its own: one that the block raised goes on its way.
            raise self._deadline.problem() from None
