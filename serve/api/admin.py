"""The admin API: which bundle is served."""

import re
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from serve.api.token import token_required
from serve.bundle.rollout import BusyError, Rollout
from serve.errors import Problem, problems
from serve.schemas import RolledOut, RolloutState
from serve.service import Service
from src.contracts.bundle import MANIFEST
from src.contracts.errors import LookalikeError

__all__ = ["admin_routes"]

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(pattern=_NAME, description="Name of a folder in the service's --bundles.")]
    changes_after: int | None = Field(
        default=None,
        ge=0,
        description="Number of the last change of items that the bundle's catalogue has: `last_change`, read before "
        "the catalogue was. Later changes are made in the bundle; without it, all are.",
    )


def admin_routes(service: Service) -> APIRouter:
    """The routes of the admin API; they need the token."""
    token = Depends(token_required(service.settings.token, service.metrics))
    router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[token])
    folder = service.settings.bundles

    @router.get("/bundle", summary="The bundle that is served, and the others", responses=problems(401, 403))
    async def state() -> RolloutState:
        rollout = service.rollout
        return RolloutState(
            bundle_id=rollout.source.bundle_id,
            name=rollout.source.path.name,
            previous=rollout.previous.bundle_id if rollout.previous else None,
            running=rollout.running,
            problem=rollout.problem,
            bundles=_names(folder),
            last_change=None if service.live is None else service.live.journal.last_change,
        )

    @router.post("/bundle", summary="Serve another bundle", responses=problems(400, 401, 403, 404, 409, 422))
    async def roll_out(asked: _Request) -> RolledOut:
        """Answers when the new bundle serves and the old one is closed. If it fails, the old one goes on."""
        rollout = _rollout(service)
        if folder is None:
            raise Problem(403, kind="no-bundles", detail="start the service with --bundles DIR to name bundles in it")
        if asked.path not in _names(folder):
            known = ", ".join(_names(folder)) or "none"
            raise Problem(404, kind="unknown-bundle", detail=f"--bundles has no bundle {asked.path!r}; it has {known}")
        return await _awaited(rollout.to(folder / asked.path, changes_after=asked.changes_after))

    @router.post("/bundle/rollback", summary="Serve the previous bundle again", responses=problems(401, 403, 409, 422))
    async def roll_back() -> RolledOut:
        return await _awaited(_rollout(service).back())

    return router


def _rollout(service: Service) -> Rollout:
    if service.settings.processes > 1:
        detail = "there are several processes: replace the folder of --bundle by a rename, and send SIGHUP"
        raise Problem(409, kind="several-processes", detail=detail)
    return service.rollout


async def _awaited(rollout: Awaitable[RolledOut]) -> RolledOut:
    try:
        return await rollout
    except BusyError as error:
        raise Problem(409, kind="rollout-running", detail=str(error)) from None
    except LookalikeError as error:
        raise Problem(422, kind="rollout-failed", detail=str(error)) from None


def _names(folder: Path | None) -> list[str]:
    """The bundles in a folder that can be named."""
    found = [] if folder is None else folder.glob(f"*/{MANIFEST}")
    return sorted(path.parent.name for path in found if re.match(_NAME, path.parent.name))
