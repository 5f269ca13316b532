"""For every request: an id, security headers, metrics, a log line, and an answer to exceptions."""

import logging
import random
import re
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import Problem, problem_response
from serve.logs import REQUESTS
from serve.metrics import Metrics

__all__ = ["PROBES", "RequestContext"]

PROBES = ("/livez", "/readyz", "/metrics")
"""Called every few seconds: logged at level `debug`."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_GONE = 499
"""Counted as the status of a request whose client left before the answer (nginx's number)."""
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]

_log = logging.getLogger("serve")


class RequestContext:
    """The outermost ASGI middleware; sets `scope["state"]["request_id"]`."""

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

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message.get("headers", ())}
                # The page sets a content security policy of its own.
                ours = [pair for pair in _SECURITY_HEADERS if pair[0] not in given]
                headers = [*message.get("headers", ()), *ours, (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = _CLIENT_GONE
        except Exception:
            _log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if status:
                raise  # The head was sent; only closing the connection tells the client.
            problem = Problem(500, detail="an error of the service; the log has it under this request_id")
            await problem_response(problem, scope)(scope, receive, send_with_headers)
        finally:
            self._count(scope, status or _CLIENT_GONE, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern: callers can invent any number of paths.
        endpoint = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.answered(endpoint, str(status)).inc()
        self._metrics.took(endpoint).observe(seconds)
        level = logging.DEBUG if endpoint in PROBES else logging.INFO
        if REQUESTS.isEnabledFor(level):
            REQUESTS.log(level, "request", extra={"fields": _fields(scope, endpoint, status, seconds)})


def _fields(scope: Scope, endpoint: str, status: int, seconds: float) -> dict[str, Any]:
    fields = {
        "request_id": scope["state"]["request_id"],
        "method": scope["method"],
        "endpoint": endpoint,
        "status": status,
        "ms": round(1000 * seconds, 3),
        "rung": scope["state"].get("rung"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    # Not a secret, so a fast generator is enough.
    return given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
