"""What every request gets: an id, security headers, a count, and an answer even when we have a bug."""

import logging
import random
import re
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import Problem, problem_response
from serve.observe.logs import REQUESTS
from serve.observe.metrics import Metrics

__all__ = ["RequestContext"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_GONE = 499
"""The status that a request is counted under whose client left before the answer (nginx's number)."""

_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]

_PROBES = ("/livez", "/readyz", "/metrics")
"""Asked every few seconds: told at the level `debug`."""

_log = logging.getLogger("serve")


class RequestContext:
    """The outermost ASGI middleware."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message.get("headers", ())}
                ours = [pair for pair in _SECURITY_HEADERS if pair[0] not in given]  # A page has a policy of its own.
                headers = [*message.get("headers", ()), *ours, (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            status = _CLIENT_GONE
        except Exception:
            _log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if status:  # The head is out: only closing the connection tells the client.
                raise
            problem = Problem(500, detail="an error of ours; the log has it under this request_id")
            await problem_response(problem, scope)(scope, receive, send_marked)
        finally:
            self._count(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern, not the path: there are as many paths as callers care to invent.
        endpoint = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.answered(endpoint, str(status)).inc()
        self._metrics.took(endpoint).observe(seconds)
        level = logging.DEBUG if endpoint in _PROBES else logging.INFO
        if REQUESTS.isEnabledFor(level):
            REQUESTS.log(level, "request", extra={"fields": _told(scope, endpoint, status, seconds)})


def _told(scope: Scope, endpoint: str, status: int, seconds: float) -> dict[str, Any]:
    state = scope["state"]
    fields = {
        "request_id": state["request_id"],
        "method": scope["method"],
        "endpoint": endpoint,
        "status": status,
        "ms": round(1000 * seconds, 3),
        "key": state.get("key"),
        "rung": state.get("rung"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return (
        given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
    )  # No secret: nothing is gained by guessing one.
