"""Errors as problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Scope

from src.contracts.preprocessing import ImageError, ImageTooLargeError, UnsupportedImageError

__all__ = ["Problem", "image_problem", "install_handlers", "problem_content", "problem_response"]


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """A request that cannot be answered.

    Attributes:
        status: HTTP status.
        kind: the last part of the problem's type; None where the status says it all.
        detail: what was wrong with this request, and how to mend it.
        headers: further response headers.
    """

    def __init__(
        self, status: int, *, detail: str, kind: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})


def problem_content(problem: Problem, request_id: str) -> dict[str, Any]:
    """A problem as it is told (RFC 9457, section 3)."""
    return {
        # Not a URL: nothing is to be fetched there (RFC 9457, section 3.1.1, allows any URI).
        "type": f"urn:lookalike:problem:{problem.kind}" if problem.kind else "about:blank",
        "title": problem.kind.replace("-", " ").capitalize() if problem.kind else HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
    }


def problem_response(problem: Problem, scope: Scope) -> Response:
    """The response that tells a problem."""
    return JSONResponse(
        problem_content(problem, scope["state"]["request_id"]),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


def image_problem(error: ImageError) -> Problem:
    """What a photo that cannot be read is told as."""
    if isinstance(error, ImageTooLargeError):
        return Problem(413, kind="image-too-large", detail=str(error))
    if isinstance(error, UnsupportedImageError):
        return Problem(415, kind="unsupported-image", detail=str(error))
    return Problem(422, kind="corrupt-image", detail=str(error))


def install_handlers(app: FastAPI) -> None:
    """Make every error of a route a problem."""

    async def on_problem(request: Request, error: Exception) -> Response:
        return problem_response(_as_problem(error, request), request.scope)

    for kind in (Problem, ImageError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, on_problem)


def _as_problem(error: Exception, request: Request) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, ImageError):
        return image_problem(error)
    if isinstance(error, HTTPException):
        return Problem(error.status_code, detail=_explained(error, request), headers=error.headers)
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
    return Problem(422, kind="invalid-request", detail=detail)


def _explained(error: HTTPException, request: Request) -> str:
    if error.status_code == 404:
        return f"there is no {request.url.path}; /openapi.json lists what there is"
    if error.status_code == 405:
        return f"{request.url.path} does not take {request.method}; it takes {(error.headers or {}).get('Allow', '')}"
    return error.detail
