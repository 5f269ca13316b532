"""The body of a search: photos and fields, as a form or as JSON."""

from fastapi import Request

from serve.api.form import read_form
from serve.api.json_body import read_json
from serve.api.sent import Sent
from serve.errors import Problem
from serve.fetch.fetcher import ImageFetcher

__all__ = ["read_photo", "read_photos"]

_HINT = 'send multipart/form-data, as `curl -F image=@photo.jpg` does, or JSON: {"image": "BASE64"}'

Fields = list[tuple[str, str]]


async def read_photo(request: Request, *, fetcher: ImageFetcher | None = None) -> tuple[bytes, Fields]:
    """Read a body that has one photo, `image`, or in its place a field `image_url`.

    Args:
        request: its body is within the limit already.
        fetcher: gets a photo from the web; None where that is off.

    Returns:
        The photo's bytes, and the names and values of the other fields.

    Raises:
        Problem: 415 for another content type, 400 for a damaged body, 422 without exactly one photo.
    """
    sent = await _read(request, max_files=2)
    urls = [value for name, value in sent.fields if name == "image_url"]
    if urls:
        fields = [(name, value) for name, value in sent.fields if name != "image_url"]
        return await _fetched(urls, has_file=bool(sent.files), fetcher=fetcher), fields
    if [name for name, _ in sent.files] != ["image"]:
        raise _missing(sent, "one file is expected, named `image`")
    return sent.files[0][1], sent.fields


async def read_photos(request: Request, *, most: int) -> tuple[list[bytes], Fields]:
    """Read a body that has several photos: files that are all named `image`, or the list `images` in JSON.

    Args:
        request: its body is within the limit already.
        most: photos that it may have.

    Returns:
        Each photo's bytes, and the names and values of the fields.

    Raises:
        Problem: as `read_photo`; 422 with no photo or too many.
    """
    sent = await _read(request, max_files=most + 1)
    if not sent.files or any(name != "image" for name, _ in sent.files):
        raise _missing(sent, "files are expected that are all named `image`")
    if len(sent.files) > most:
        raise Problem(
            422, kind="too-many-images", detail=f"at most {most} images are taken at once; send several times"
        )
    return [data for _, data in sent.files], sent.fields


async def _read(request: Request, *, max_files: int) -> Sent:
    content_type = request.headers.get("content-type", "")
    media_type = content_type.split(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        sent = await read_form(request, max_files=max_files)
    elif media_type == "application/json":
        sent = await read_json(request)
    else:
        shown = content_type[:100] or "none"
        raise Problem(415, kind="unsupported-media-type", detail=f"the content type is {shown}; {_HINT}")
    if any(name in ("image", "images") for name, _ in sent.fields):
        raise Problem(422, kind="missing-image", detail=f"`image` is text, not a file; {_HINT}")
    return sent


def _missing(sent: Sent, expected: str) -> Problem:
    got = ", ".join(repr(name[:40]) for name, _ in sent.files[:5]) or "none"
    return Problem(422, kind="missing-image", detail=f"{expected}; got {got}; {_HINT}")


async def _fetched(urls: list[str], *, has_file: bool, fetcher: ImageFetcher | None) -> bytes:
    if fetcher is None:
        raise Problem(422, kind="image-url-off", detail="this service takes no `image_url`; send the photo itself")
    if has_file or len(urls) > 1:
        raise Problem(422, kind="missing-image", detail="one photo is expected: a file `image` or one `image_url`")
    return await fetcher.fetch(urls[0])
