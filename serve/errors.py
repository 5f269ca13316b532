"""Errors as problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from serve.schemas import Problem as ProblemSchema
from src.contracts.errors import FilterError
from src.contracts.image_errors import ImageError, ImageTooLargeError, UnsupportedImageError

__all__ = ["Problem", "as_problem", "install_handlers", "overloaded", "problem_response", "problems"]

_SHOWN = 60
"""Characters of a caller's value that an error message repeats."""
_MOST = 10
"""Problems that one message lists."""


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """A request that cannot be answered.

    Attributes:
        kind: the last part of the problem's type; empty where the status says it all.
        detail: the value, the rule and the fix.
    """

    def __init__(self, status: int, *, detail: str, kind: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})

    def content(self, request_id: str) -> ProblemSchema:
        """The problem as it is sent (RFC 9457, section 3)."""
        return ProblemSchema(
            # A URN, since nothing can be fetched there (RFC 9457, section 3.1.1, allows any URI).
            type=f"urn:lookalike:problem:{self.kind}" if self.kind else "about:blank",
            title=self.kind.replace("-", " ").capitalize() if self.kind else HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            request_id=request_id,
        )


def overloaded(why: str, *, seconds: int = 1) -> Problem:
    """A refusal for load: 503 with Retry-After."""
    detail = f"{why}; try again in {seconds} second{'s' if seconds > 1 else ''}"
    return Problem(503, kind="overloaded", detail=detail, headers={"Retry-After": str(seconds)})


def problem_response(problem: Problem, scope: Scope) -> Response:
    """The response that a problem is sent as."""
    content = problem.content(scope["state"]["request_id"]).model_dump()
    return JSONResponse(content, problem.status, problem.headers, media_type="application/problem+json")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these statuses."""
    schema = ProblemSchema.model_json_schema()
    return {
        status: {"description": "Problem", "content": {"application/problem+json": {"schema": schema}}}
        for status in statuses
    }


def install_handlers(app: FastAPI) -> None:
    """Send every error of a route as a problem."""

    async def send_problem(request: Request, error: Exception) -> Response:
        return problem_response(as_problem(error, request), request.scope)

    for kind in (Problem, ImageError, FilterError, HTTPException, RequestValidationError, ValidationError):
        app.add_exception_handler(kind, send_problem)


def as_problem(error: BaseException, request: Request) -> Problem:
    """The problem that an exception is sent as; one that is not the caller's fault becomes status 500."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ImageTooLargeError):
        return Problem(413, kind="image-too-large", detail=str(error))
    if isinstance(error, UnsupportedImageError):
        return Problem(415, kind="unsupported-image", detail=str(error))
    if isinstance(error, ImageError):
        return Problem(422, kind="corrupt-image", detail=str(error))
    if isinstance(error, FilterError):
        return Problem(422, kind="invalid-parameters", detail=str(error))
    if isinstance(error, HTTPException):
        return Problem(error.status_code, detail=_explained(error, request), headers=error.headers)
    if isinstance(error, RequestValidationError | ValidationError):
        found = error.errors()
        rest = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
        told = "; ".join([*map(_told, found[:_MOST]), *rest])
        return Problem(422, kind="invalid-parameters", detail=told)
    return Problem(500, detail="an error of the service; the log has it under this request_id")


def _told(found: Mapping[str, Any]) -> str:
    """One field that does not pass: its name, its value, the rule."""
    name = ".".join(str(part) for part in found["loc"] if part not in ("query", "body", "path")) or "the request"
    rule = str(found["msg"]).removeprefix("Value error, ")
    value = found.get("input")
    shown = "" if value is None or isinstance(value, dict) else f"={str(value)[:_SHOWN]!r}"
    if found["type"] == "extra_forbidden":
        return f"{name[:_SHOWN]!r} is unknown; /openapi.json lists what there is"
    return f"{name[:_SHOWN]}{shown}: {rule}"


def _explained(error: HTTPException, request: Request) -> str:
    if error.status_code == 404:
        return f"there is no {request.url.path}; /openapi.json lists what there is"
    if error.status_code == 405:
        return f"{request.url.path} does not take {request.method}; it takes {(error.headers or {}).get('Allow', '')}"
    return error.detail
