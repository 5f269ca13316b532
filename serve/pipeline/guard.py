"""Calls the encoder or the index behind a circuit breaker and within a part of the request's time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serve.breaker import Breaker, BreakerOpenError
from serve.deadline import Deadline
from serve.errors import Problem
from src.contracts.errors import LookalikeError, UnavailableError

__all__ = ["SearchFailedError", "guarded"]

T = TypeVar("T")

_SHARE = 0.6
"""Of the request's remaining time; the rest is left for a fallback."""
_LEAST = 0.2
"""Seconds; a timeout after less than this says nothing about the dependency."""

_log = logging.getLogger("serve")


class SearchFailedError(Exception):
    """The encoder or the index failed, is not called at the moment, or was `late`: others may have more time."""

    def __init__(self, *, late: bool = False) -> None:
        super().__init__("late" if late else "failed")
        self.late = late


async def guarded(breaker: Breaker, deadline: Deadline, call: Callable[[], Awaitable[T]]) -> T:
    """Call the encoder or the index; the call is cancelled after 0.6 of the time that the request has left.

    Raises:
        SearchFailedError: it failed, was late, or was not made.
        Problem, LookalikeError: as the call raised them, for the request's own faults.
    """
    seconds = _SHARE * deadline.remaining
    try:
        undecided = (TimeoutError,) if seconds < _LEAST else ()
        with breaker.call(spares=(Problem, LookalikeError), undecided=undecided):
            async with asyncio.timeout(seconds):
                try:
                    return await call()
                except UnavailableError as error:  # Not the request's own fault, as other errors of ours are.
                    raise ConnectionError(str(error)) from None
    except (Problem, LookalikeError):
        raise
    except BreakerOpenError:
        raise SearchFailedError from None
    except TimeoutError:
        _log.warning("a search takes a fallback: no result within %.2f s", seconds)
        raise SearchFailedError(late=True) from None
    except Exception as error:
        _log.error("a search takes a fallback: %r", error)
        raise SearchFailedError from error
