"""Asking what a search cannot do without, so that its failure is known as such, and soon."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serve.breaker import Breaker, BreakerOpenError
from serve.errors import Problem
from serve.path.deadline import Deadline
from src.contracts.errors import LookalikeError

__all__ = ["SearchFailedError", "guarded"]

T = TypeVar("T")

_SHARE = 0.6
"""Of the time that a request has left: something else can still be found in the rest."""

_LEAST = 0.2
"""Seconds; who could give less, and waited for a decoder before, says nothing about the encoder."""

_log = logging.getLogger("serve")


class SearchFailedError(Exception):
    """Encoder or index failed, was late, or has been lately: nothing is wrong with the request.

    Attributes:
        late: the time of this request was over; another one may have more.
    """

    def __init__(self, *, late: bool = False) -> None:
        super().__init__("late" if late else "failed")
        self.late = late


class _HurriedError(Exception):
    """Too late, where there was little time from the start."""


async def guarded(breaker: Breaker, deadline: Deadline, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask encoder or index.

    Args:
        breaker: its.
        deadline: of the request; the question is cancelled when 0.6 of what is left has passed.
        ask: begins it.

    Raises:
        SearchFailedError: it failed, was late, or was not asked.
        Problem, LookalikeError: as the question raised them; they are the request's own.
    """
    allotted = _SHARE * deadline.remaining
    try:
        with breaker.call(spares=(Problem, LookalikeError), undecided=(_HurriedError,)):
            try:
                async with asyncio.timeout(allotted):
                    return await ask()
            except TimeoutError:
                if allotted < _LEAST:
                    raise _HurriedError from None
                raise
    except (Problem, LookalikeError):
        raise
    except BreakerOpenError:
        raise SearchFailedError from None
    except (TimeoutError, _HurriedError):
        _log.warning("a search goes another way: not done within %.2f s", allotted)
        raise SearchFailedError(late=True) from None
    except Exception as error:
        _log.error("a search goes another way: %s", repr(error) if str(error) else type(error).__name__)
        raise SearchFailedError from error
