import asyncio

import pytest

from serve.deadline import Deadline
from serve.errors import Problem

pytestmark = pytest.mark.anyio


async def test_body_is_cancelled_at_the_moment_and_told_504():
    cancelled = False

    async def endless() -> None:
        nonlocal cancelled
        async with Deadline.after(0.01).enforced():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise

    with pytest.raises(Problem, match=r"no answer within 0\.01 seconds") as raised:
        await endless()
    assert cancelled
    assert (raised.value.status, raised.value.kind) == (504, "deadline-exceeded")


async def test_body_in_time_is_left_alone():
    deadline = Deadline.after(60)
    async with deadline.enforced():
        await asyncio.sleep(0)
    assert 0 < deadline.remaining <= 60
    assert not deadline.expired


async def test_a_timeout_of_the_body_is_its_own():
    with pytest.raises(TimeoutError):
        async with Deadline.after(60).enforced():
            raise TimeoutError


async def test_passed_deadline_has_nothing_left():
    deadline = Deadline.after(-1)
    assert deadline.expired
    assert deadline.remaining == 0
