"""The API: /v1."""

import hashlib
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from serve.api.batch import batch_answer
from serve.api.parameters import BOX, OPENAPI, parse_nothing, parse_parameters
from serve.api.presence import client_waits
from serve.api.problems import problems
from serve.api.upload import read_photo, read_photos
from serve.errors import Problem
from serve.fetch.fetcher import ImageFetcher
from serve.path.deadline import Deadline
from serve.schemas import BatchResults, Bundle, RegionFound, Regions, Results
from serve.service import Service

__all__ = ["api"]

_YEAR = 365 * 24 * 3600
_MOST_REGIONS = 5
_PHOTO = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, GIF, BMP, TIFF."}
_BASE64 = {"type": "string", "format": "byte", "description": "The file in base64 (RFC 4648, section 4)."}
_URL = {"image_url": {"type": "string", "description": "Where a photo is fetched from, in place of `image`."}}
_FIELDS = {**OPENAPI, "box": BOX}


def _query(schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in schemas.items()]


def _body(form: dict[str, Any], in_json: dict[str, Any], fields: Mapping[str, Any], *, url: bool = False) -> Any:
    """A body as form and as JSON; where a URL may stand for the photo, neither is required."""

    def schema(photo: dict[str, Any]) -> dict[str, Any]:
        required = {} if url else {"required": list(photo)}
        properties = {**photo, **(_URL if url else {}), **fields}
        return {"schema": {"type": "object", "properties": properties, "additionalProperties": False, **required}}

    return {"required": True, "content": {"multipart/form-data": schema(form), "application/json": schema(in_json)}}


def api(service: Service) -> APIRouter:
    """The routes of the API over one service."""
    router = APIRouter(prefix="/v1")
    fetcher = _fetcher(service)
    settings = service.settings

    @router.post(
        "/search",
        response_class=Response,
        summary="Items that look like a photo",
        responses={**_answers(Results), **problems(400, 408, 413, 415, 422, 503, 504)},
        openapi_extra={
            "requestBody": _body({"image": _PHOTO}, {"image": _BASE64}, _FIELDS, url=fetcher is not None),
            "parameters": _query(_FIELDS),
        },
    )
    async def search(request: Request) -> Response:
        """Fields (`k` and the filters) may stand in the body or in the query string."""
        data, fields = await read_photo(request, fetcher=fetcher)
        asked = parse_parameters([*request.query_params.multi_items(), *fields], photo=True)
        deadline = Deadline.after(settings.deadline_seconds)
        with service.current.hold() as opened:
            async with client_waits(request):
                return _json(await opened.pipeline.search(data, asked, deadline))

    @router.post(
        "/search/batch",
        response_class=Response,
        summary="Items that look like each of several photos",
        responses={**_answers(BatchResults), **problems(400, 408, 413, 415, 422, 503, 504)},
        openapi_extra={
            "requestBody": _body(
                {"image": {"type": "array", "items": _PHOTO, "minItems": 1, "maxItems": settings.most_images}},
                {"images": {"type": "array", "items": _BASE64, "minItems": 1, "maxItems": settings.most_images}},
                _FIELDS,
            ),
            "parameters": _query(_FIELDS),
        },
    )
    async def search_batch(request: Request) -> Response:
        """A photo that cannot be searched by has a problem of its own; each counts as one search for admission."""
        photos, fields = await read_photos(request, most=settings.most_images)
        asked = parse_parameters([*request.query_params.multi_items(), *fields], photo=True)
        request.scope["state"]["take_places"](len(photos) - 1)
        deadline = Deadline.after(settings.deadline_seconds)
        with service.current.hold() as opened:
            async with client_waits(request):
                found = await opened.pipeline.search_each(photos, asked, deadline)
        return _json(BatchResults(answers=[batch_answer(one, request) for one in found]))

    @router.get(
        "/search/text",
        response_class=Response,
        summary="Items by words",
        responses={**_answers(Results), **problems(422, 503, 504)},
        openapi_extra={"parameters": _query(OPENAPI)},
    )
    async def search_text(request: Request) -> Response:
        """Items whose title, description, brand, color or category has all of the words in `q`."""
        asked = parse_parameters(request.query_params.multi_items())
        if not asked.q.strip():
            raise Problem(422, kind="invalid-parameters", detail="q is missing; give it words to search for")
        deadline = Deadline.after(settings.deadline_seconds)
        with service.current.hold() as opened:
            return _json(await opened.pipeline.by_words(asked, deadline))

    @router.post(
        "/regions",
        response_class=Response,
        summary="Where a photo shows objects",
        responses={**_answers(Regions), **problems(400, 408, 413, 415, 422, 503, 504)},
        openapi_extra={
            "requestBody": _body({"image": _PHOTO}, {"image": _BASE64}, {}, url=fetcher is not None),
        },
    )
    async def regions(request: Request) -> Response:
        """At most five; each is a `box` to search by."""
        data, fields = await read_photo(request, fetcher=fetcher)
        parse_nothing([*request.query_params.multi_items(), *fields])
        deadline = Deadline.after(settings.deadline_seconds)
        with service.current.hold() as opened:
            async with client_waits(request):
                found = await opened.pipeline.regions(data, _MOST_REGIONS, deadline)
        return _json(Regions(regions=[RegionFound(box=astuple(box), score=score) for box, score in found]))

    @router.get(
        "/items/{item_id:path}/similar",
        response_class=Response,
        summary="Items that look like an item; it is not among them",
        responses={**_answers(Results), **problems(404, 422, 503, 504)},
        openapi_extra={"parameters": _query(OPENAPI)},
    )
    async def similar(item_id: str, request: Request) -> Response:
        asked = parse_parameters(request.query_params.multi_items())
        deadline = Deadline.after(settings.deadline_seconds)
        with service.current.hold() as opened:
            return _json(await opened.pipeline.similar(item_id, asked, deadline))

    @router.get(
        "/images/{image_id:path}",
        response_class=Response,
        summary="An image's thumbnail",
        responses={200: {"content": {"image/jpeg": {}}}, 304: {"description": "Not modified"}, **problems(404)},
    )
    async def image(image_id: str, request: Request, v: str = "") -> Response:
        """With `v`, the bundle's id, it may be cached for ever."""
        with service.current.hold() as opened:
            # A picture that came through the API lies in a file.
            jpeg = await anyio.to_thread.run_sync(opened.engine.now().catalogue.thumbnail, image_id)
            bundle_id = opened.bundle_id
        if jpeg is None:
            raise Problem(404, kind="unknown-image", detail=f"this bundle has no picture of an image {image_id!r}")
        return _picture(jpeg, request, for_ever=v == bundle_id)

    @router.get("/bundle", response_class=Response, summary="What is served", responses=_answers(Bundle))
    async def bundle(_: Request) -> Response:
        with service.current.hold() as opened:
            return Response(opened.description_json, media_type="application/json")

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


def _json(answer: BaseModel) -> Response:
    # Written by the model itself: FastAPI would first check it against itself, which takes longer than a search.
    return Response(answer.model_dump_json(), media_type="application/json")


def _answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model, "description": "The answer"}}


def _picture(jpeg: bytes, request: Request, *, for_ever: bool) -> Response:
    etag = f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"'
    # An id may show another picture in the next bundle: for ever holds only for a URL that names the bundle.
    age = f"public, max-age={_YEAR}, immutable" if for_ever else "public, max-age=300"
    headers = {"ETag": etag, "Cache-Control": age}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)
