"""The API of operation: /v1/admin."""

import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from serve.api.problems import problems
from serve.errors import Problem
from serve.rollout.rollout import BusyError, RolloutReport
from serve.schemas import RolledOut, RolloutState
from serve.service import Service
from src.contracts.bundle import MANIFEST
from src.contracts.errors import LookalikeError

__all__ = ["admin"]

_log = logging.getLogger("serve")

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


class _Asked(BaseModel, extra="forbid"):
    path: Annotated[str, Field(pattern=f"^{_NAME}$", description="Name of a folder in the service's `--bundles`.")]
    changes_since: datetime | None = Field(
        default=None,
        description="When the bundle's catalogue was read: changes of items before that are in it already and are not "
        "made again. Without it all changes are.",
    )


def admin(service: Service) -> APIRouter:
    """The routes of the API of operation."""
    router = APIRouter(prefix="/v1/admin", tags=["admin"])

    @router.get(
        "/bundle",
        response_model=RolloutState,
        summary="What is served, what was before, what there is",
        responses=problems(401, 403, 429),
    )
    async def state() -> RolloutState:
        rollout = service.rollout
        return RolloutState(
            bundle_id=rollout.place.bundle_id,
            name=rollout.place.path.name,
            previous=rollout.previous.bundle_id if rollout.previous else None,
            running=rollout.running,
            problem=rollout.problem,
            bundles=_names(service.settings.bundles),
        )

    @router.post(
        "/bundle",
        response_model=RolledOut,
        summary="Serve another bundle",
        responses=problems(400, 401, 403, 404, 409, 413, 422, 429),
    )
    async def roll_out(asked: _Asked, request: Request) -> RolledOut:
        """Answers when the new bundle serves and the old one is closed. If it fails, the old one goes on."""
        told = await _rolled_out(service, asked)
        return await _with_others(service, "bundle", asked.model_dump(mode="json"), request, told)

    @router.post(
        "/bundle/rollback",
        response_model=RolledOut,
        summary="Serve the bundle before this one again",
        responses=problems(401, 403, 409, 422, 429),
    )
    async def roll_back(request: Request) -> RolledOut:
        told = await _rolled_back(service)
        return await _with_others(service, "rollback", None, request, told)

    @router.post("/worker/bundle", include_in_schema=False)
    async def follow_out(asked: _Asked) -> RolledOut:
        """The same in this worker alone; asked by another one, where it went well."""
        with _ending(service):
            return await _rolled_out(service, asked)

    @router.post("/worker/rollback", include_in_schema=False)
    async def follow_back() -> RolledOut:
        with _ending(service):
            return await _rolled_back(service)

    return router


async def _rolled_out(service: Service, asked: _Asked) -> RolledOut:
    folder = service.settings.bundles
    if folder is None:
        detail = "this service has no folder of bundles; start it with --bundles DIR"
        raise Problem(403, kind="no-bundles-folder", detail=detail)
    path = folder / asked.path
    if not (path / MANIFEST).is_file():
        there = ", ".join(_names(folder)) or "none"
        raise Problem(404, kind="unknown-bundle", detail=f"there is no bundle {asked.path}; there are: {there}")
    try:
        return _told(await service.rollout.to(path, since=_seconds(asked.changes_since)))
    except LookalikeError as error:
        raise _problem(error) from None


async def _rolled_back(service: Service) -> RolledOut:
    try:
        return _told(await service.rollout.back())
    except LookalikeError as error:
        raise _problem(error) from None


async def _with_others(service: Service, what: str, body: Any, request: Request, told: RolledOut) -> RolledOut:
    """Let the other workers do what this one did."""
    if service.peers is None:
        return told
    service.peers.remember(service.rollout.place.path)
    headers = {"Authorization": request.headers.get("authorization", "")}
    answers = await service.peers.post(f"/v1/admin/worker/{what}", body, headers)
    for number, answer in answers.items():
        if answer.status_code != 200:
            _log.error("worker %d did not follow: %d %s", number, answer.status_code, answer.text)
    followed = sum(answer.status_code == 200 for answer in answers.values())
    return told.model_copy(update={"workers": 1 + followed})


@contextmanager
def _ending(service: Service) -> Iterator[None]:
    """A worker that cannot follow drains and ends: its parent starts it again, with the bundle of the others."""
    try:
        yield
    except Problem:
        if service.peers is not None:
            os.kill(os.getpid(), signal.SIGTERM)
        raise


def _names(folder: Path | None) -> list[str]:
    if folder is None or not folder.is_dir():
        return []
    return sorted(
        path.name for path in folder.iterdir() if re.fullmatch(_NAME, path.name) and (path / MANIFEST).is_file()
    )


def _seconds(since: datetime | None) -> float:
    if since is None:
        return 0.0
    return (since if since.tzinfo is not None else since.replace(tzinfo=UTC)).timestamp()


def _told(report: RolloutReport) -> RolledOut:
    return RolledOut(
        bundle_id=report.bundle_id,
        previous=report.previous,
        checks=report.checks,
        load_seconds=round(report.load_seconds, 3),
        drain_seconds=round(report.drain_seconds, 3),
    )


def _problem(error: LookalikeError) -> Problem:
    if isinstance(error, BusyError):
        return Problem(409, kind="rollout-under-way", detail=str(error), headers={"Retry-After": "5"})
    return Problem(422, kind="bundle-refused", detail=str(error))
