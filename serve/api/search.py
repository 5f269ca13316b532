"""The search API: by photo, by several photos, by words, by item; regions, thumbnails, and what is served."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

import serve.api.any_path  # noqa: F401 - makes `any` in paths known
from serve.api.body import Body, object_of, read_photos
from serve.api.parameters import PhotoParameters, SearchParameters, WordParameters, parse, repeats_checked
from serve.deadline import Deadline
from serve.edge.client import client_waits
from serve.errors import Problem, as_problem, overloaded, problems
from serve.pipeline.search import Pipeline
from serve.schemas import BatchAnswer, BatchResults, Bundle, RegionFound, Regions, Results
from serve.service import Service
from src.contracts.errors import LookalikeError

__all__ = ["search_routes"]

_log = logging.getLogger("serve")

_YEAR = 365 * 24 * 3600
_MOST_REGIONS = 5
_FILE = {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP, GIF, BMP or TIFF file."}
_BASE64 = {"type": "string", "format": "byte", "description": "The file in base64 (RFC 4648, section 4)."}


def search_routes(service: Service) -> APIRouter:
    """The routes of the search API."""
    router = APIRouter(prefix="/v1", tags=["search"])
    most = service.settings.most_images

    async def read(request: Request, most: int = 1) -> Body:
        """The photos of a body, and the parameters in the query string and in the body."""
        body = await read_photos(request, service.admission, most=most)
        return Body(body.photos, [*request.query_params.multi_items(), *body.fields])

    @asynccontextmanager
    async def admitted(request: Request, places: int = 1) -> AsyncIterator[tuple[Pipeline, Deadline]]:
        """Hold places and a bundle within the block, which is cancelled when the client leaves; the deadline starts."""
        deadline = Deadline.after(service.settings.deadline_seconds)
        with service.admission.place(places), service.current.hold() as opened:
            async with client_waits(request):
                yield opened.pipeline, deadline

    @router.post(
        "/search",
        summary="Items that look like a photo",
        responses={**_answer(Results), **problems(400, 408, 413, 415, 422, 503, 504)},
        openapi_extra=_body(PhotoParameters),
    )
    async def search(request: Request) -> Response:
        """Parameters may stand in the query string or in the body."""
        body = await read(request)
        parameters = parse(PhotoParameters, body.fields)
        async with admitted(request) as (pipeline, deadline):
            query, request_id = parameters.query(pipeline.gallery()), request.state.request_id
            answer = await pipeline.search(body.photos[0], query, deadline, request_id=request_id)
        request.state.rung = answer.rung
        return _json(answer)

    @router.post(
        "/search/batch",
        summary="Items that look like each of several photos",
        responses={**_answer(BatchResults), **problems(400, 408, 413, 415, 422, 503, 504)},
        openapi_extra=_body(PhotoParameters, most),
    )
    async def search_batch(request: Request) -> Response:
        """Each photo has an answer or a problem of its own, and counts as one search for admission."""
        body = await read(request, most)
        parameters = parse(PhotoParameters, body.fields)
        async with admitted(request, len(body.photos)) as (pipeline, deadline):
            query = parameters.query(pipeline.gallery())
            request_id = request.state.request_id
            searches = (pipeline.search(photo, query, deadline, request_id=request_id) for photo in body.photos)
            found = await asyncio.gather(*searches, return_exceptions=True)
        return _json(BatchResults(answers=[_one_of_batch(one, request) for one in found]))

    @router.get(
        "/search/text",
        summary="Items by words",
        responses={**_answer(Results), **problems(422, 503, 504)},
        dependencies=[Depends(repeats_checked)],
    )
    async def search_text(request: Request, parameters: Annotated[WordParameters, Query()]) -> Response:
        """Items whose title, name, description, brand, color or category has all words of `q`."""
        async with admitted(request) as (pipeline, deadline):
            return _json(await pipeline.by_words(parameters.query(pipeline.gallery()), deadline))

    @router.get(
        "/items/{item_id:any}/similar",
        summary="Items that look like an item, which is not among them",
        responses={**_answer(Results), **problems(404, 422, 503, 504)},
        dependencies=[Depends(repeats_checked)],
    )
    async def similar(request: Request, item_id: str, parameters: Annotated[SearchParameters, Query()]) -> Response:
        async with admitted(request) as (pipeline, deadline):
            return _json(await pipeline.similar(item_id, parameters.query(pipeline.gallery()), deadline))

    @router.post(
        "/regions",
        summary="The objects in a photo",
        responses={**_answer(Regions), **problems(400, 408, 413, 415, 422, 503, 504)},
        openapi_extra=_body(None),
    )
    async def regions(request: Request) -> Response:
        """At most five; each is a `box` to search by."""
        body = await read(request)
        for name, _ in body.fields:
            detail = f"{name[:60]!r} is unknown; there are no parameters"
            raise Problem(422, kind="invalid-parameters", detail=detail)
        async with admitted(request) as (pipeline, deadline):
            found = await pipeline.regions(body.photos[0], _MOST_REGIONS, deadline)
        return _json(Regions(regions=[RegionFound(box=astuple(box), score=score) for box, score in found]))

    @router.get(
        "/images/{image_id:any}",
        summary="An image's thumbnail",
        response_class=Response,
        responses={
            200: {"content": {"image/jpeg": {}}},
            304: {"description": "Not modified"},
            **problems(404, 422, 503),
        },
    )
    async def image(image_id: str, request: Request, v: str = "") -> Response:
        """With `v`, the id of the bundle, the answer may be cached for ever."""
        with service.current.hold() as opened:
            # The thumbnail of a changed item is read from a file.
            try:
                jpeg = await anyio.to_thread.run_sync(opened.pipeline.gallery().thumbnail, image_id)
            except LookalikeError:
                raise overloaded("the pictures of changed items cannot be read at the moment") from None
            bundle_id = opened.pipeline.bundle_id
        if jpeg is None:
            raise Problem(404, kind="unknown-image", detail=f"there is no image {image_id!r}")
        return _picture(jpeg, request, for_ever=v == bundle_id)

    @router.get("/bundle", summary="What is served", responses=_answer(Bundle))
    async def bundle() -> Response:
        with service.current.hold() as opened:
            return Response(opened.description, media_type="application/json")

    return router


def _json(answer: BaseModel) -> Response:
    # FastAPI would validate the model once more, which takes longer than a search.
    return Response(answer.model_dump_json(), media_type="application/json")


def _answer(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model, "description": "The answer"}}


def _body(model: type[BaseModel] | None, most: int = 1) -> dict[str, Any]:
    """The description of a body that is a form or JSON; parameters may stand in it or in the query string."""
    several: dict[str, Any] = {"type": "array", "minItems": 1, "maxItems": most}
    form = {"image": {**several, "items": _FILE} if most > 1 else _FILE}
    in_json = {"images": {**several, "items": _BASE64}} if most > 1 else {"image": _BASE64}
    content = {"multipart/form-data": object_of(form, model), "application/json": object_of(in_json, model)}
    fields = model.model_json_schema()["properties"] if model else {}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [{"name": name, "in": "query", "schema": field} for name, field in fields.items()],
    }


def _one_of_batch(found: Results | BaseException, request: Request) -> BatchAnswer:
    if isinstance(found, Results):
        return BatchAnswer(answer=found, problem=None)
    request_id: str = request.scope["state"]["request_id"]
    problem = as_problem(found, request)
    if problem.status == 500:
        _log.error("request %s: a photo of a batch failed", request_id, exc_info=found)
    return BatchAnswer(answer=None, problem=problem.content(request_id))


def _picture(jpeg: bytes, request: Request, *, for_ever: bool) -> Response:
    etag = f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"'
    # In the next bundle the same id may show another picture.
    age = f"public, max-age={_YEAR}, immutable" if for_ever else "public, max-age=300"
    headers = {"ETag": etag, "Cache-Control": age}
    known = request.headers.get("if-none-match", "").split(",")
    if any(tag.strip().removeprefix("W/") in (etag, "*") for tag in known):
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)
