import asyncio

import pytest

from serve.breaker import Breaker, BreakerState
from serve.deadline import Deadline
from serve.errors import Problem
from serve.pipeline.guard import SearchFailedError, guarded
from src.contracts.errors import LookalikeError

pytestmark = pytest.mark.anyio


async def outcomes(breaker: Breaker, seconds: float, count: int = 5) -> list[SearchFailedError]:
    """Calls at the same time of what never answers."""
    calls = [guarded(breaker, Deadline.after(seconds), asyncio.Event().wait) for _ in range(count)]
    failed = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, SearchFailedError) for one in failed)
    return failed


async def raises(error: Exception) -> None:
    raise error


async def test_result_is_that_of_the_call():
    async def answer() -> int:
        return 7

    assert await guarded(Breaker(), Deadline.after(60), answer) == 7


async def test_timeout_of_a_request_with_little_time_says_nothing_about_the_dependency():
    breaker = Breaker()
    assert all(failed.late for failed in await outcomes(breaker, 0.01))
    assert breaker.state is BreakerState.CLOSED


async def test_dependency_that_takes_most_of_the_time_has_failed():
    breaker = Breaker()
    started = asyncio.get_running_loop().time()
    assert all(failed.late for failed in await outcomes(breaker, 0.5))
    assert 0.3 <= asyncio.get_running_loop().time() - started < 0.5
    assert breaker.state is BreakerState.OPEN
    (skipped,) = await outcomes(breaker, 60, 1)
    assert not skipped.late


async def test_exception_of_the_dependency_is_a_failure_and_no_lateness():
    breaker = Breaker()
    for _ in range(5):
        with pytest.raises(SearchFailedError) as caught:
            await guarded(breaker, Deadline.after(60), lambda: raises(RuntimeError("out of memory")))
        assert not caught.value.late
        assert isinstance(caught.value.__cause__, RuntimeError)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("error", [Problem(422, detail="x"), LookalikeError("x")])
async def test_errors_of_the_request_pass_and_are_no_failures(error):
    breaker = Breaker()
    for _ in range(10):
        with pytest.raises(type(error)):
            await guarded(breaker, Deadline.after(60), lambda: raises(error))
    assert breaker.state is BreakerState.CLOSED


async def test_probe_with_little_time_does_not_close_the_breaker_of_a_dependency_that_hangs():
    now = 0.0
    breaker = Breaker(clock=lambda: now)
    await outcomes(breaker, 0.4)
    assert breaker.state is BreakerState.OPEN
    now += 2.0
    await outcomes(breaker, 0.01, 1)
    assert breaker.state is BreakerState.OPEN
