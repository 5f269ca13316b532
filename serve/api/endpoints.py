"""The API: /v1."""

import hashlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve.api.parameters import OPENAPI, parse_parameters
from serve.api.problems import problems
from serve.api.upload import read_upload
from serve.errors import Problem
from serve.fetch.fetcher import ImageFetcher
from serve.path.deadline import Deadline
from serve.schemas import Bundle, Results
from serve.service import Service

__all__ = ["api"]

_YEAR = 365 * 24 * 3600
_QUERY = [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in OPENAPI.items()]
_PHOTO = {"image": {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, GIF, BMP, TIFF."}}
_URL = {"image_url": {"type": "string", "description": "Where a photo is fetched from, in place of `image`."}}


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"multipart/form-data": {"schema": {"type": "object", **schema}}}}


_FORM = _form({"required": ["image"], "properties": {**_PHOTO, **OPENAPI}})
_FORM_OR_URL = _form({"properties": {**_PHOTO, **_URL, **OPENAPI}})


def api(service: Service) -> APIRouter:
    """The routes of the API over one service."""
    router = APIRouter(prefix="/v1")
    fetcher = _fetcher(service)

    @router.post(
        "/search",
        response_model=Results,
        summary="Items that look like a photo",
        responses=problems(400, 408, 413, 415, 422, 503, 504),
        openapi_extra={"requestBody": _FORM if fetcher is None else _FORM_OR_URL, "parameters": _QUERY},
    )
    async def search(request: Request) -> Results:
        """Fields (`k` and the filters) may stand in the form or in the query string."""
        data, fields = await read_upload(request, max_bytes=service.settings.max_upload, fetcher=fetcher)
        parameters = parse_parameters([*request.query_params.multi_items(), *fields])
        deadline = Deadline.after(service.settings.deadline_seconds)
        with service.current.hold() as opened:
            return await opened.pipeline.search(data, parameters, deadline)

    @router.get(
        "/items/{item_id:path}/similar",
        response_model=Results,
        summary="Items that look like an item; it is not among them",
        responses=problems(404, 422, 503, 504),
        openapi_extra={"parameters": _QUERY},
    )
    async def similar(item_id: str, request: Request) -> Results:
        parameters = parse_parameters(request.query_params.multi_items())
        deadline = Deadline.after(service.settings.deadline_seconds)
        with service.current.hold() as opened:
            return await opened.pipeline.similar(item_id, parameters, deadline)

    @router.get(
        "/images/{image_id:path}",
        response_class=Response,
        summary="An image's thumbnail",
        responses={200: {"content": {"image/jpeg": {}}}, 304: {"description": "Not modified"}, **problems(404)},
    )
    async def image(image_id: str, request: Request, v: str = "") -> Response:
        """With `v`, the bundle's id, it may be cached for ever."""
        with service.current.hold() as opened:
            jpeg = opened.engine.catalogue.thumbnail(image_id)
            bundle_id = opened.bundle_id
        if jpeg is None:
            raise Problem(404, kind="unknown-image", detail=f"this bundle has no picture of an image {image_id!r}")
        return _picture(jpeg, request, for_ever=v == bundle_id)

    @router.get("/bundle", response_model=Bundle, summary="What is served")
    async def bundle() -> Bundle:
        with service.current.hold() as opened:
            return opened.description

    return router


def _fetcher(service: Service) -> ImageFetcher | None:
    settings = service.settings
    if not settings.image_url_hosts.strip():
        return None
    return ImageFetcher(
        hosts=settings.image_url_hosts,
        allow_http=settings.image_url_http,
        allow_loopback=settings.image_url_loopback,
        max_bytes=settings.max_upload,
        seconds=settings.image_url_seconds,
        metrics=service.metrics,
    )


def _picture(jpeg: bytes, request: Request, *, for_ever: bool) -> Response:
    etag = f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"'
    # An id may show another picture in the next bundle: for ever holds only for a URL that names the bundle.
    age = f"public, max-age={_YEAR}, immutable" if for_ever else "public, max-age=300"
    headers = {"ETag": etag, "Cache-Control": age}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)
