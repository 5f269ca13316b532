"""The API that changes items."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

import serve.api.any_path  # noqa: F401 - makes `any` in paths known
from serve.api.body import object_of, read_form
from serve.api.parameters import Boolean, Price, check_repeats
from serve.api.token import token_required
from serve.errors import Problem, problems
from serve.schemas import Changed, Version
from serve.service import Service
from serve.store.store import StoreUnavailableError
from src.contracts.errors import LookalikeError
from src.contracts.image_errors import ImageError
from src.search.gallery import UnknownItemError
from src.search.live_items import Written, finished

__all__ = ["item_routes"]

_MAX_IMAGES = 8
_MAX_TEXT = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters or line breaks")
    return text


def _reachable(item_id: str) -> str:
    if any(part in (".", "..") for part in item_id.split("/")):
        raise ValueError("must not contain `.` or `..` as a part of the path: clients and proxies resolve these")
    return _plain(item_id)


_ItemId = Annotated[str, Path(min_length=1, max_length=_MAX_TEXT), AfterValidator(_reachable)]
_Version = Annotated[int, Query(ge=0, description="From `POST /v1/items`; 0 takes a new one.")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_TEXT), AfterValidator(_plain)]


class _Values(BaseModel):
    """Price and stock; null is unknown."""

    model_config = ConfigDict(extra="forbid")

    price: Price | None = Field(default=None, ge=0)
    in_stock: Boolean | None = None


class _Attributes(_Values):
    """What an item has beside its images. An attribute that is left out is null."""

    parent_id: _Text | None = None
    category: _Text | None = None
    brand: _Text | None = None
    color: _Text | None = None


_FOLLOWS: dict[int | str, dict[str, Any]] = {202: {"model": Changed, "description": "Durable, and visible later"}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": _MAX_IMAGES}
_FORM = {
    "requestBody": {"required": True, "content": {"multipart/form-data": object_of({"image": _FILES}, _Attributes)}}
}


def item_routes(service: Service) -> APIRouter:
    """The routes that change items; they need the token."""
    token = Depends(token_required(service.settings.token, service.metrics))
    router = APIRouter(prefix="/v1/items", tags=["items"], dependencies=[token])

    @contextmanager
    def changing() -> Iterator[None]:
        """A place among the changes; an error within the block says that the change was not made."""
        if service.live is None and service.changes is None:
            detail = "this service's items stay as its bundle has them; start it with --state DIR"
            raise Problem(403, kind="no-state", detail=detail)
        with service.writes.place():
            try:
                yield
            except ImageError:
                raise
            except UnknownItemError as error:
                raise Problem(404, kind="unknown-item", detail=str(error)) from None
            except (LookalikeError, StoreUnavailableError) as error:
                detail = f"the change was not made ({error}); send it again, which does no harm"
                raise Problem(503, kind="not-written", detail=detail, headers={"Retry-After": "5"}) from None

    async def changed(kind: str, item_id: str, *given: Any, version: int, response: Response) -> Changed:
        with service.current.hold() as opened:
            if service.live is None:
                assert opened.items is not None
                work = partial(getattr(opened.items, kind), item_id, *given, version)
                written = await finished(work)
            elif version:
                detail = f"version={version}: this service has its own order of changes; leave it out"
                raise Problem(422, kind="invalid-parameters", detail=detail)
            else:
                image_ids = await getattr(service.live, kind)(item_id, *given)
                written = Written(image_ids or [], service.live.journal.last_change, visible=True)
            response.status_code = 200 if written.visible else 202
            return Changed(item_id=item_id, bundle_id=opened.pipeline.bundle_id, **written._asdict())

    @router.post("", summary="A version, for changes that may be sent twice", responses=problems(401, 403, 503))
    async def version() -> Version:
        """Of several changes of an item the greatest version wins, in whatever order they arrive."""
        with changing():
            if service.changes is None:
                raise Problem(403, kind="no-versions", detail="this service's items are not shared with others")
            return Version(version=await asyncio.to_thread(service.changes.versions.next))

    @router.put(
        "/{item_id:any}",
        summary="Add an item, or replace it: its images and its attributes",
        responses={**_FOLLOWS, **problems(400, 401, 403, 408, 413, 415, 422, 503)},
        openapi_extra=_FORM,
    )
    async def put(item_id: _ItemId, request: Request, response: Response, version: _Version = 0) -> Changed:
        """Answers when the change is durable; with 200 when every search sees it, with 202 when that follows."""
        with changing():
            body = await read_form(request, max_files=_MAX_IMAGES)
            if not body.photos:
                raise Problem(422, kind="missing-image", detail="there is no file named `image`; give at least one")
            check_repeats((name for name, _ in body.fields), several=())
            attributes = _Attributes.model_validate(dict(body.fields)).model_dump()
            if service.store is not None:  # Prices and stock are read from there, so they are written there first.
                await service.store.write(item_id, attributes)
            return await changed("put", item_id, body.photos, attributes, version=version, response=response)

    @router.patch(
        "/{item_id:any}",
        summary="Change an item's price and stock",
        responses={**_FOLLOWS, **problems(400, 401, 403, 404, 413, 422, 503)},
    )
    async def patch(item_id: _ItemId, values: _Values, response: Response, version: _Version = 0) -> Changed:
        """What is left out stays."""
        attributes = values.model_dump(exclude_unset=True)
        with changing():
            if not attributes:
                detail = "nothing to change; give `price`, `in_stock` or both"
                raise Problem(422, kind="invalid-parameters", detail=detail)
            if service.store is not None:
                await service.store.write(item_id, attributes)
            return await changed("patch", item_id, attributes, version=version, response=response)

    @router.delete(
        "/{item_id:any}",
        summary="Remove an item from the results; an unknown one is no error",
        responses={**_FOLLOWS, **problems(401, 403, 422, 503)},
    )
    async def delete(item_id: _ItemId, response: Response, version: _Version = 0) -> Changed:
        with changing():
            return await changed("delete", item_id, version=version, response=response)

    return router
