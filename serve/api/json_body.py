"""A body of JSON, its photos in base64."""

import asyncio
import base64
import binascii
import json
from typing import Any

from fastapi import Request

from serve.api.sent import MAX_FIELD_BYTES, MAX_FIELDS, Sent
from serve.errors import Problem

__all__ = ["read_json"]

_HINT = 'send an object such as {"image": "BASE64", "k": 10, "category": ["shoes"]}'
_PARSED_AT_ONCE = 256 * 1024
"""Bytes; more would hold up the event loop, and are parsed on a thread."""
_MOST_MEMBERS = 2_000
"""Brackets and commas of a body, of which base64 has none: to parse many stops all threads, wherever it is done."""
_PICTURES = ("image", "images")
_SHOWN = 40


class _Object(list[tuple[str, Any]]):
    """A JSON object with its names in order, those that stand twice too."""


async def read_json(request: Request) -> Sent:
    """Read an object whose members are the form's fields: numbers, booleans and lists where they say it better.

    `image` is base64 (RFC 4648, section 4); `images`, of a batch, a list of such.

    Raises:
        Problem: 400 for what is no JSON object, 422 for a member that cannot be a field.
    """
    body = await request.body()
    return _sent(body) if len(body) <= _PARSED_AT_ONCE else await asyncio.to_thread(_sent, body)


def _sent(body: bytes) -> Sent:
    if sum(map(body.count, (b"{", b"[", b","))) > _MOST_MEMBERS:
        raise Problem(400, kind="malformed-json", detail=f"over {_MOST_MEMBERS:,} members are more than a search has")
    try:
        parsed = json.loads(body.decode(), object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        why = "too deep" if isinstance(error, RecursionError) else str(error)[:100]
        raise Problem(400, kind="malformed-json", detail=f"the body is no JSON ({why}); {_HINT}") from None
    if not isinstance(parsed, _Object):
        raise Problem(400, kind="malformed-json", detail=f"the body is no JSON object; {_HINT}")
    sent = Sent([], [])
    for name, value in parsed:
        _writable(name)
        if name == "images" and isinstance(value, list) and not isinstance(value, _Object):
            sent.files.extend(("image", _picture(name, one)) for one in value)
        elif name in _PICTURES:
            sent.files.append((name, _picture(name, value)))
        elif name == "box" and isinstance(value, list):
            sent.fields.append((name, ",".join(_text(name, number) for number in value)))
        elif isinstance(value, list) and not isinstance(value, _Object):
            sent.fields.extend((name, _text(name, one)) for one in value)
        else:
            sent.fields.append((name, _text(name, value)))
    if len(sent.fields) > MAX_FIELDS:
        raise Problem(400, kind="malformed-json", detail=f"too many fields, at most {MAX_FIELDS}")
    for name, text in sent.fields:
        if len(name) + len(text) > MAX_FIELD_BYTES:
            raise _unusable(name, f"has {len(text):,} characters; at most {MAX_FIELD_BYTES:,} are read")
    return sent


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _writable(value)
    shown = "null" if value is None else "nested"
    raise _unusable(name, f"is {shown}; give text, a number, true or false, or leave it out")


def _picture(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise _unusable(name, "must be base64 text" if name == "image" else "must be a list of base64 texts")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _unusable(name, "is not base64 (RFC 4648, without a `data:` head)") from None


def _writable(text: str) -> str:
    """JSON can escape half of a character, which nothing after it can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Problem(422, kind="invalid-parameters", detail="a text holds half a surrogate pair") from None
    return text


def _unusable(name: str, why: str) -> Problem:
    return Problem(422, kind="invalid-parameters", detail=f"{name[:_SHOWN]!r} {why}")
