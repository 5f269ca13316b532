"""The body of a search: one photo and some fields, as multipart/form-data."""

from collections.abc import Iterable

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from serve.errors import Problem
from serve.fetch.fetcher import ImageFetcher

__all__ = ["Upload", "read_upload"]

_MAX_FIELDS = 100
_HINT = "send it as multipart/form-data, for instance with `curl -F image=@photo.jpg`"

Upload = tuple[bytes, list[tuple[str, str]]]
"""The photo's bytes, and the names and values of the other fields."""


async def read_upload(request: Request, *, max_bytes: int, fetcher: ImageFetcher | None = None) -> Upload:
    """Read a form that has one file, `image`, or in its place a field `image_url`.

    Args:
        request: its body is within `max_bytes` already.
        max_bytes: up to this size a photo is kept in memory: a container may have no disk to write to.
        fetcher: gets a photo from the web; None where that is off.

    Raises:
        Problem: 415 for another content type, 400 for a damaged form, 422 without exactly one photo.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "multipart/form-data":
        shown = content_type or "none"
        raise Problem(415, kind="unsupported-media-type", detail=f"the content type is {shown}; {_HINT}")
    parser = MultiPartParser(request.headers, request.stream(), max_files=2, max_fields=_MAX_FIELDS)
    parser.spool_max_size = max_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(
            400, kind="malformed-form", detail=f"the form cannot be read ({error.message.rstrip('.')}); {_HINT}"
        ) from None
    try:
        return await _split(form.multi_items(), fetcher)
    finally:
        await form.close()


async def _split(items: Iterable[tuple[str, UploadFile | str]], fetcher: ImageFetcher | None) -> Upload:
    files, fields, urls = [], [], []
    for name, value in items:
        if isinstance(value, UploadFile):
            files.append((name, value))
        elif name == "image":
            raise Problem(422, kind="missing-image", detail=f"`image` is text, not a file; {_HINT}")
        elif name == "image_url":
            urls.append(value)
        else:
            fields.append((name, value))
    if urls:
        return await _fetched(urls, has_file=bool(files), fetcher=fetcher), fields
    if [name for name, _ in files] != ["image"]:
        got = ", ".join(repr(name[:40]) for name, _ in files) or "none"
        raise Problem(422, kind="missing-image", detail=f"one file is expected, named `image`; got {got}; {_HINT}")
    return await files[0][1].read(), fields


async def _fetched(urls: list[str], *, has_file: bool, fetcher: ImageFetcher | None) -> bytes:
    if fetcher is None:
        raise Problem(422, kind="image-url-off", detail="this service takes no `image_url`; send the photo itself")
    if has_file or len(urls) > 1:
        raise Problem(422, kind="missing-image", detail="one photo is expected: a file `image` or one `image_url`")
    return await fetcher.fetch(urls[0])
