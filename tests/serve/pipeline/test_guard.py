import asyncio

import pytest
from serve.path.guard import SearchFailedError, guarded

from serve.breaker import Breaker, BreakerState
from serve.deadline import Deadline

pytestmark = pytest.mark.anyio


async def ask(breaker: Breaker, deadline: Deadline) -> None:
    await guarded(breaker, deadline, asyncio.Event().wait)


async def test_who_has_little_time_says_nothing_about_the_encoder():
    breaker = Breaker(failures=1)
    for _ in range(3):
        with pytest.raises(SearchFailedError) as raised:
            await ask(breaker, Deadline.after(0.01))
        assert raised.value.late
    assert breaker.state is BreakerState.CLOSED


async def test_an_encoder_that_takes_all_the_time_there_is_has_failed():
    breaker = Breaker(failures=1)
    with pytest.raises(SearchFailedError) as raised:
        await ask(breaker, Deadline.after(0.4))
    assert raised.value.late
    assert breaker.state is BreakerState.OPEN
    with pytest.raises(SearchFailedError) as raised:
        await ask(breaker, Deadline.after(60))
    assert not raised.value.late


async def test_what_the_encoder_raises_is_no_lateness():
    async def fails() -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(SearchFailedError) as raised:
        await guarded(Breaker(failures=1), Deadline.after(60), fails)
    assert not raised.value.late


async def test_a_hurried_probe_does_not_close_the_breaker_of_an_encoder_that_hangs():
    now = 0.0
    breaker = Breaker(failures=1, pause=1.0, clock=lambda: now)
    for seconds in (0.4, 0.01):
        with pytest.raises(SearchFailedError):
            await ask(breaker, Deadline.after(seconds))
        assert breaker.state is BreakerState.OPEN
        now += 2.0
