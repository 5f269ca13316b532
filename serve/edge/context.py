"""For every request: an id, security headers, metrics, a log line, and an answer to exceptions."""

import logging
import random
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
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
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # The page sets one of its own.
}

_log = logging.getLogger("serve")


class RequestContext:
    """The outermost ASGI middleware; sets `scope["state"]["request_id"]`."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, leaving: Callable[[], bool] = lambda: False) -> None:
        """Wrap an application; while it is `leaving`, each answer closes its connection."""
        self._app = app
        self._metrics = metrics
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        # Not a secret, so a fast generator is enough.
        request_id = given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = request_id
                if self._leaving():
                    headers["Connection"] = "close"
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
        fields = {name: scope["state"][name] for name in ("request_id", "rung") if name in scope["state"]}
        fields |= {"method": scope["method"], "endpoint": endpoint, "status": status, "ms": round(1000 * seconds, 3)}
        REQUESTS.log(logging.DEBUG if endpoint in PROBES else logging.INFO, "request", extra={"fields": fields})
