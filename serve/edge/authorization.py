"""Keys at the door: a request that may not pass is answered before its body is read."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.access.access import Access
from serve.errors import Problem, problem_response
from serve.observe.metrics import Metrics

__all__ = ["Authorization"]


class Authorization:
    """ASGI middleware. Sets `state["key"]`, the name of the request's key."""

    def __init__(self, app: ASGIApp, *, access: Access, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            key = self._access.admit(scope["method"], scope["path"], Headers(scope=scope).get("authorization"))
        except Problem as problem:
            self._metrics.refused.labels(problem.kind).inc()
            await problem_response(problem, scope)(scope, receive, send)
            return
        scope["state"]["key"] = key
        await self._app(scope, receive, send)
