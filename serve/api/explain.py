"""POST /v1/explain: which parts of a photo and of an item make the two alike."""

from typing import Any

from fastapi import APIRouter, Request

from serve.api.presence import client_waits
from serve.api.problems import problems
from serve.api.upload import read_photo
from serve.errors import Problem
from serve.path.box import Box
from serve.path.deadline import Deadline
from serve.path.explainer import Places
from serve.path.stages import Stages
from serve.schemas import Explanation
from serve.service import Service

__all__ = ["explain"]

_FIELDS = {
    "item_id": {"type": "string", "minLength": 1, "description": "What was found."},
    "box": {"type": "string", "description": "The part that was searched with: x,y,w,h in fractions."},
}


def _body(photo: dict[str, str]) -> dict[str, Any]:
    shown = {**photo, "type": "string", "description": "The photo that was searched with."}
    properties = {"image": shown, **_FIELDS}
    required = ["image", "item_id"]
    return {"schema": {"type": "object", "properties": properties, "required": required, "additionalProperties": False}}


_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": _body({"format": "binary"}),
        "application/json": _body({"format": "byte"}),
    },
}


def explain(service: Service) -> APIRouter:
    """The route, over one service."""
    router = APIRouter(prefix="/v1")
    settings = service.settings
    places = Places(settings.max_explanations)

    @router.post(
        "/explain",
        response_model=Explanation,
        summary="Which parts make a photo and an item alike",
        responses=problems(400, 404, 408, 413, 415, 422, 503, 504),
        openapi_extra={"requestBody": _BODY},
    )
    async def explain(request: Request) -> Explanation:
        """Covers one cell of the picture after the other: a hundred embeddings, at a low priority."""
        data, fields = await read_photo(request)
        item_id, box = _read([*request.query_params.multi_items(), *fields])
        # Not before: a slow upload would keep the place from the others.
        with places.one(), service.current.hold() as opened:
            deadline = Deadline.after(settings.explain_seconds)
            async with client_waits(request):
                return await opened.explainer.explain(data, box, item_id, deadline, Stages(service.metrics))

    return router


def _read(fields: list[tuple[str, str]]) -> tuple[str, Box | None]:
    named = dict(fields)
    if len(named) < len(fields) or named.keys() - {"item_id", "box"} or not named.get("item_id"):
        raise Problem(
            422, kind="invalid-parameters", detail="beside `image`, one `item_id` is expected, and at most one `box`"
        )
    try:
        return named["item_id"], Box.parse(named["box"]) if "box" in named else None
    except ValueError as error:
        raise Problem(422, kind="invalid-parameters", detail=f"box {error}") from None
