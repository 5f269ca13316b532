"""The API that changes items: /v1/items/{item_id}."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, Field

from serve.api.form import read_form
from serve.api.problems import problems
from serve.errors import Problem
from serve.live.items import LiveItems, UnknownItemError
from serve.schemas import Changed
from serve.service import Service
from serve.store.load import words_of
from serve.store.store import StoreUnavailableError
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import ImageError

__all__ = ["items"]

_TEXTS = ("parent_id", "category", "brand", "color")
_MAX_IMAGES = 8
_MAX_TEXT = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {
                    "image": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "minItems": 1,
                        "maxItems": _MAX_IMAGES,
                    },
                    **{name: {"type": "string", "maxLength": _MAX_TEXT} for name in _TEXTS},
                    "price": {"type": "number", "minimum": 0},
                    "in_stock": {"type": "boolean"},
                },
            }
        }
    },
}


def _finite(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise ValueError("must be a finite number, 0 or more")
    return value


class _Patch(BaseModel, extra="forbid"):
    price: Annotated[float | None, AfterValidator(_finite)] = Field(default=None, ge=0, allow_inf_nan=False)
    in_stock: bool | None = None


def items(service: Service) -> APIRouter:
    """The routes that change items."""
    router = APIRouter(prefix="/v1/items", tags=["items"])

    @router.put(
        "/{item_id:path}",
        response_model=Changed,
        summary="Add an item, or replace it: its images and its attributes",
        responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra={"requestBody": _FORM},
    )
    async def put(item_id: str, request: Request) -> Changed:
        """Answers when it is on the disk and every search sees it. Attributes that are left out are null."""
        live = _live(service)
        _check_id(item_id)
        files, attributes = await _read(request)
        try:
            image_ids = await live.put(item_id, files, attributes)
        except ImageError:
            raise
        except LookalikeError as error:
            raise _problem(error) from None
        whole = {**dict.fromkeys((*_TEXTS, "price", "in_stock")), **attributes}
        await _tell_store(service, item_id, {**whole, "text": words_of(attributes)})
        return _changed(service, item_id, image_ids)

    @router.patch(
        "/{item_id:path}",
        response_model=Changed,
        summary="Change an item's price and stock",
        responses=problems(400, 401, 403, 404, 413, 422, 429, 503),
    )
    async def patch(item_id: str, asked: _Patch) -> Changed:
        """What is left out stays; null is unknown."""
        live = _live(service)
        attributes = asked.model_dump(exclude_unset=True)
        if not attributes:
            raise Problem(422, kind="invalid-request", detail="nothing to change; give `price`, `in_stock` or both")
        try:
            await live.patch(item_id, attributes)
        except UnknownItemError as error:
            raise Problem(404, kind="unknown-item", detail=str(error)) from None
        except LookalikeError as error:
            raise _problem(error) from None
        await _tell_store(service, item_id, attributes)
        return _changed(service, item_id, [])

    @router.delete(
        "/{item_id:path}",
        response_model=Changed,
        summary="Remove an item from the results; an unknown one is no error",
        responses=problems(401, 403, 422, 429, 503),
    )
    async def delete(item_id: str) -> Changed:
        live = _live(service)
        _check_id(item_id)
        try:
            await live.delete(item_id)
        except LookalikeError as error:
            raise _problem(error) from None
        return _changed(service, item_id, [])

    return router


def _live(service: Service) -> LiveItems:
    if service.items is None:
        detail = "this service's items stay as its bundle has them; start it with --state DIR"
        raise Problem(403, kind="no-state", detail=detail)
    return service.items


async def _tell_store(service: Service, item_id: str, attributes: Mapping[str, Any]) -> None:
    """Price and stock are read from the store: what it does not know did not happen to a search."""
    try:
        await service.store.tell(item_id, attributes)
    except StoreUnavailableError:
        detail = "the store of prices and stock cannot be written; send the change again, which does no harm"
        raise Problem(503, kind="not-written", detail=detail, headers={"Retry-After": "5"}) from None


def _changed(service: Service, item_id: str, image_ids: list[str]) -> Changed:
    return Changed(item_id=item_id, image_ids=image_ids, bundle_id=service.rollout.place.bundle_id)


def _problem(error: LookalikeError) -> Problem:
    return Problem(503, kind="not-written", detail=str(error), headers={"Retry-After": "5"})


def _check_id(item_id: str) -> None:
    if not 1 <= len(item_id) <= _MAX_TEXT or _CONTROL.search(item_id):
        detail = f"an item's id has 1 to {_MAX_TEXT} characters and no control characters"
        raise Problem(422, kind="invalid-item", detail=detail)


async def _read(request: Request) -> tuple[list[bytes], Mapping[str, Any]]:
    """The files named `image` and the attributes of a form."""
    hint = "send it as multipart/form-data, for instance with `curl -X PUT -F image=@photo.jpg -F price=9.9`"
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "multipart/form-data":
        raise Problem(415, kind="unsupported-media-type", detail=f"this is no form; {hint}")
    sent = await read_form(request, max_files=_MAX_IMAGES)
    files = [data for name, data in sent.files if name == "image"]
    wrong = [f"{name[:40]!r} is no file of this form" for name, _ in sent.files if name != "image"]
    fields = dict(sent.fields)
    wrong += [
        f"{name[:40]!r} is given twice" for name, times in Counter(name for name, _ in sent.fields).items() if times > 1
    ]
    if not files:
        wrong.append(f"there is no file named `image`; {hint}")
    attributes: dict[str, Any] = {}
    for name, text in fields.items():
        try:
            attributes[name] = _attribute(name, text)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise Problem(422, kind="invalid-item", detail="; ".join(wrong))
    return files, attributes


def _attribute(name: str, text: str) -> str | float | bool:
    if name in _TEXTS:
        if not 1 <= len(text) <= _MAX_TEXT or _CONTROL.search(text):
            raise ValueError(f"{name} must have 1 to {_MAX_TEXT} characters and no control characters")
        return text
    if name == "price":
        try:
            price = float(text)
        except ValueError:
            price = math.nan
        if not (math.isfinite(price) and price >= 0):
            raise ValueError(f"price={text[:40]!r} must be a finite number, 0 or more")
        return price
    if name == "in_stock":
        if text.lower() not in _BOOLEANS:
            raise ValueError(f"in_stock={text[:40]!r} must be true or false")
        return _BOOLEANS[text.lower()]
    raise ValueError(f"{name[:40]!r} is unknown; allowed are image, {', '.join(_TEXTS)}, price, in_stock")
