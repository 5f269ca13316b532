"""The short way to a route."""

from collections.abc import Iterable
from inspect import signature

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.errors import Problem, image_problem, problem_response
from src.contracts.preprocessing import ImageError

__all__ = ["Direct"]


class Direct:
    """Calls endpoints that take the request and give a response, where the path is all of the route.

    The framework has nothing to do for these: no parameters to find and check, no answer to convert. Asking it all the
    same takes a fifth of what a search costs the event loop. Everything else, and what is wrong with a path or a
    method, goes to it.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        """Find them among the routes of the application."""
        self._app = app
        plain = [route for route in routes if isinstance(route, APIRoute) and _takes_the_request(route)]
        self._routes = {(method, route.path): route for route in plain for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        try:
            response = await route.endpoint(Request(scope, receive, send))
        except Problem as problem:
            response = problem_response(problem, scope)
        except ImageError as error:
            response = problem_response(image_problem(error), scope)
        await response(scope, receive, send)


def _takes_the_request(route: APIRoute) -> bool:
    parameters = [one.annotation for one in signature(route.endpoint).parameters.values()]
    return parameters == [Request] and route.response_class is Response
