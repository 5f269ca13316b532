"""A request as a part of its caller's trace."""

from opentelemetry.trace import StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.observe.tracing import request_span

__all__ = ["Tracing"]


class Tracing:
    """Makes a span of each request to the API; stages add theirs below it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        with request_span(scope["method"], Headers(scope=scope)) as span:
            if span is None:
                await self._app(scope, receive, send)
                return

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("lookalike.request_id", scope["state"]["request_id"])
            try:
                await self._app(scope, receive, send_noted)
            finally:
                # The route's pattern: a path would make a name of its own for each item.
                route = getattr(scope.get("route"), "path", "unmatched")
                span.set_attribute("http.route", route)
                span.update_name(f"{scope['method']} {route}")
