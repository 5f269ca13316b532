"""Reads the body of a request: photos and fields, as multipart/form-data or as JSON with photos in base64."""

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from serve.edge.admission import Admission
from serve.errors import Problem

__all__ = ["Body", "object_of", "read_form", "read_photos"]

_MAX_FIELDS = 100
_MAX_FIELD_BYTES = 4096
_SMALL = 64 * 1024
"""Bytes of a body that is read even when the search will be refused: the connection can then be used again."""
_PARSED_AT_ONCE = 256 * 1024
"""Bytes of JSON that the event loop parses itself; more are parsed on a thread."""
_MOST_MEMBERS = 2_000
"""Brackets and commas of a JSON body; base64 has none. Parsing many holds Python's lock, on whichever thread."""
_HINT = 'send multipart/form-data, as `curl -F image=@photo.jpg` does, or JSON: {"image": "BASE64"}'


class Body(NamedTuple):
    """The files named `image`, and the other names and values in their order."""

    photos: list[bytes]
    fields: list[tuple[str, Any]]


def object_of(photo: Mapping[str, Any], model: type[BaseModel] | None) -> dict[str, Any]:
    """The description of a body that is an object, or a form, of a photo and of a model's fields."""
    fields = model.model_json_schema()["properties"] if model else {}
    schema = {"type": "object", "required": list(photo), "additionalProperties": False}
    return {"schema": {**schema, "properties": {**photo, **fields}}}


async def read_photos(request: Request, admission: Admission, *, most: int) -> Body:
    """Read a form, or JSON with `image` (or `images`, where several are allowed) in base64.

    A search that `admission` would refuse anyway is refused before a large body is read. There is one photo at least.

    Raises:
        Problem: 503 for load, 415 for another content type, 400 for a damaged body, 422 for a wrong number of photos.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _SMALL:
        admission.check()
    media_type = _media_type(request)
    if media_type == "application/json":
        data = await request.body()
        several = most > 1
        body = _json(data, several) if len(data) <= _PARSED_AT_ONCE else await to_thread.run_sync(_json, data, several)
    elif media_type == "multipart/form-data":
        body = await read_form(request, max_files=most)
    else:
        shown = request.headers.get("content-type", "none")[:100]
        raise Problem(415, kind="unsupported-media-type", detail=f"the content type is {shown}; {_HINT}")
    if not body.photos:
        raise Problem(422, kind="missing-image", detail=f"there is no file named `image`; {_HINT}")
    return body


async def read_form(request: Request, *, max_files: int) -> Body:
    """Read the files named `image` and the fields of multipart/form-data; raises `Problem`."""
    if _media_type(request) != "multipart/form-data":
        raise Problem(415, kind="unsupported-media-type", detail=f"the body is not multipart/form-data; {_HINT}")
    data = await request.body()
    if not data.rstrip(b"\r\n ").endswith(b"--"):
        raise Problem(400, kind="malformed-form", detail="the form has no closing boundary: it was cut off")
    try:
        stream = request.stream()  # Gives the body that was read.
        form = await _FormParser(
            request.headers, stream, max_files=max_files, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
        ).parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            detail = f"the request has more than {max_files} images; send several requests"
            raise Problem(422, kind="too-many-images", detail=detail) from None
        raise Problem(400, kind="malformed-form", detail=f"the form cannot be read: {error.message}") from None
    photos, fields = [], []
    try:
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                fields.append((name, value))
            elif name == "image":
                photos.append(await value.read())
            else:
                raise Problem(422, kind="missing-image", detail=f"the file {name[:40]!r} is unknown; name it `image`")
    finally:
        await form.close()
    return Body(photos, fields)


class _FormParser(MultiPartParser):
    """Starlette's parser, with files in memory (a container may have no disk), and `image` always read as a file."""

    spool_max_size = 2**40

    def on_part_begin(self) -> None:
        super().on_part_begin()
        # Whatever charset the head names: some of Python's codecs make text that no answer can hold.
        self._charset = "utf-8"

    def on_headers_finished(self) -> None:
        part = self._current_part
        disposition = part.content_disposition or b""
        if b'name="image"' in disposition and b"filename=" not in disposition:
            # Without a filename, or with `filename*=` alone (RFC 5987), it would be taken for text.
            part.content_disposition = disposition + b'; filename="image"'
        super().on_headers_finished()


def _json(data: bytes, several: bool) -> Body:
    if sum(data.count(mark) for mark in b"[{,") > _MOST_MEMBERS:
        raise Problem(400, kind="malformed-json", detail=f"the JSON has more than {_MOST_MEMBERS:,} members")
    try:
        found = json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise Problem(400, kind="malformed-json", detail=f"the body is no JSON: {str(error)[:100]}") from None
    if not isinstance(found, dict):
        raise Problem(400, kind="malformed-json", detail='the JSON is no object; send {"image": "BASE64", "k": 10}')
    name = "images" if several else "image"
    images = found.pop(name, [])
    images = images if several and isinstance(images, list) else [images] if images else []
    return Body([_decoded(image, name) for image in images], list(found.items()))


def _decoded(image: Any, name: str) -> bytes:
    if not isinstance(image, str):
        raise Problem(422, kind="missing-image", detail=f"`{name}` must be base64 text (RFC 4648, section 4)")
    try:
        return base64.b64decode(image, validate=True)
    except ValueError as error:
        detail = f"`{name}` is no base64 (RFC 4648, section 4): {error}"
        raise Problem(422, kind="missing-image", detail=detail) from None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            raise ValueError(f"{name[:40]!r} is given twice; give a list")
        found[name] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _media_type(request: Request) -> str:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        detail = f"the body is encoded as {encoding[:40]}; send it without Content-Encoding"
        raise Problem(415, kind="unsupported-media-type", detail=detail)
    return request.headers.get("content-type", "").split(";")[0].strip().lower()
