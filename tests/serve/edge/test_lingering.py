import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.edge.lingering import LingeringClose

SMALL, LARGE = 1000, 10**6


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b"full"})


async def asked(length: int, *, arrives: bool) -> tuple[list[str], list[Message]]:
    """What was read and sent, in order, and the messages sent, where a body arrives at once or never."""
    order: list[str] = []
    messages: list[Message] = []

    async def receive() -> Message:
        order.append("read")
        if not arrives:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": bytes(length), "more_body": False}

    async def send(message: Message) -> None:
        order.append(message["type"].removeprefix("http.response."))
        messages.append(message)

    scope = {"type": "http", "headers": [(b"content-length", str(length).encode())]}
    await LingeringClose(refuse, max_bytes=LARGE, seconds=0.1)(scope, receive, send)
    return order, messages


@pytest.mark.anyio
async def test_small_body_is_dropped_before_an_early_answer_and_the_connection_stays():
    order, messages = await asked(SMALL, arrives=True)
    assert order == ["read", "start", "body"]
    assert (b"connection", b"close") not in messages[0]["headers"]


@pytest.mark.anyio
async def test_answer_comes_before_a_large_body_and_before_one_that_does_not_arrive():
    order, messages = await asked(LARGE, arrives=True)
    assert order == ["start", "body", "read", "body"]
    assert (b"connection", b"close") in messages[0]["headers"]
    order, messages = await asked(SMALL, arrives=False)
    assert order == ["read", "start", "body", "read", "body"]
    assert (b"connection", b"close") in messages[0]["headers"]
