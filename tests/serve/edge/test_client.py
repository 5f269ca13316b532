import asyncio

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from serve.edge.client import client_waits


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request_of(leaves: asyncio.Event) -> Request:
    async def receive() -> dict:
        await leaves.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


@pytest.mark.anyio
async def test_work_is_cancelled_when_the_client_leaves():
    leaves, began = asyncio.Event(), asyncio.Event()
    cancelled = False

    async def serve() -> None:
        nonlocal cancelled
        async with client_waits(request_of(leaves)):
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise

    task = asyncio.create_task(serve())
    await began.wait()
    leaves.set()
    with pytest.raises(ClientDisconnect):
        await task
    assert cancelled


@pytest.mark.anyio
async def test_answer_in_time_is_left_alone_and_nothing_keeps_watching():
    leaves = asyncio.Event()
    before = asyncio.all_tasks()
    async with client_waits(request_of(leaves)):
        await asyncio.sleep(0)
    leaves.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_cancelling_from_outside_stays_one():
    async def serve() -> None:
        async with client_waits(request_of(asyncio.Event())):
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
async def test_watch_that_fails_tells_nothing():
    async def receive() -> dict:
        raise RuntimeError("the time for the body is over")

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    async with client_waits(request):
        for _ in range(5):
            await asyncio.sleep(0)
