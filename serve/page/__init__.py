"""The page that shows what the bundle finds."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

__all__ = ["page"]

_FOLDER = Path(__file__).parent
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/static/page.css": ("page.css", "text/css; charset=utf-8"),
    "/static/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/static/part.js": ("part.js", "text/javascript; charset=utf-8"),
    "/static/why.js": ("why.js", "text/javascript; charset=utf-8"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    # `blob:` shows the photo that was chosen, before and without an upload.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # Asked again each time, answered from the ETag: a new version never meets an old script.
    "Cache-Control": "no-cache",
}


def page() -> APIRouter:
    """The routes of the page: these files and no others."""
    router = APIRouter(include_in_schema=False)
    for path, (name, media_type) in _FILES.items():
        router.add_api_route(path, _file(name, media_type), response_class=FileResponse)
    return router


def _file(name: str, media_type: str) -> Callable[[], Awaitable[FileResponse]]:
    async def send() -> FileResponse:
        return FileResponse(_FOLDER / name, media_type=media_type, headers=_HEADERS)

    return send
