"""The API that changes items."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

import serve.api.any_path  # noqa: F401 - makes `any` in paths known
from serve.api.body import object_of, read_form
from serve.api.parameters import Boolean, Price, check_repeats
from serve.api.token import token_required
from serve.errors import Problem, problems
from serve.schemas import Changed
from serve.service import Service
from serve.store.store import StoreUnavailableError
from src.contracts.errors import LookalikeError
from src.contracts.image_errors import ImageError
from src.search.gallery import UnknownItemError
from src.search.live_items import LiveItems

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


_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": _MAX_IMAGES}
_FORM = {
    "requestBody": {"required": True, "content": {"multipart/form-data": object_of({"image": _FILES}, _Attributes)}}
}


def item_routes(service: Service) -> APIRouter:
    """The routes that change items; they need the token."""
    token = Depends(token_required(service.settings.token, service.metrics))
    router = APIRouter(prefix="/v1/items", tags=["items"], dependencies=[token])

    @contextmanager
    def changing() -> Iterator[LiveItems]:
        """A place among the changes; an error within the block says that the change was not made."""
        if service.live is None:
            detail = "this service's items stay as its bundle has them; start it with --state DIR"
            raise Problem(403, kind="no-state", detail=detail)
        with service.writes.place():
            try:
                yield service.live
            except ImageError:
                raise
            except UnknownItemError as error:
                raise Problem(404, kind="unknown-item", detail=str(error)) from None
            except (LookalikeError, StoreUnavailableError) as error:
                detail = f"the change was not made ({error}); send it again, which does no harm"
                raise Problem(503, kind="not-written", detail=detail, headers={"Retry-After": "5"}) from None

    def changed(item_id: str, image_ids: list[str]) -> Changed:
        return Changed(item_id=item_id, image_ids=image_ids, bundle_id=service.rollout.source.bundle_id)

    @router.put(
        "/{item_id:any}",
        summary="Add an item, or replace it: its images and its attributes",
        responses=problems(400, 401, 403, 408, 413, 415, 422, 503),
        openapi_extra=_FORM,
    )
    async def put(item_id: _ItemId, request: Request) -> Changed:
        """Answers when the change is durable and every search sees it."""
        with changing() as live:
            body = await read_form(request, max_files=_MAX_IMAGES)
            if not body.photos:
                raise Problem(422, kind="missing-image", detail="there is no file named `image`; give at least one")
            check_repeats((name for name, _ in body.fields), several=())
            attributes = _Attributes.model_validate(dict(body.fields)).model_dump()
            if service.store is not None:  # Prices and stock are read from there, so they are written there first.
                await service.store.write(item_id, attributes)
            return changed(item_id, await live.put(item_id, body.photos, attributes))

    @router.patch(
        "/{item_id:any}",
        summary="Change an item's price and stock",
        responses=problems(400, 401, 403, 404, 413, 422, 503),
    )
    async def patch(item_id: _ItemId, values: _Values) -> Changed:
        """What is left out stays."""
        attributes = values.model_dump(exclude_unset=True)
        with changing() as live:
            if not attributes:
                detail = "nothing to change; give `price`, `in_stock` or both"
                raise Problem(422, kind="invalid-parameters", detail=detail)
            if service.store is not None:
                await service.store.write(item_id, attributes)
            await live.patch(item_id, attributes)
        return changed(item_id, [])

    @router.delete(
        "/{item_id:any}",
        summary="Remove an item from the results; an unknown one is no error",
        responses=problems(401, 403, 422, 503),
    )
    async def delete(item_id: _ItemId) -> Changed:
        with changing() as live:
            await live.delete(item_id)
        return changed(item_id, [])

    return router
