"""The search page: static files without a build step.

All addresses in these files are relative to the page, so that it also works behind a proxy that strips a path prefix.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

__all__ = ["page"]

_FOLDER = Path(__file__).parent
_SCRIPTS = ("page.js", "api.js", "cards.js", "elements.js", "filters.js", "part.js", "query.js", "results.js")
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # `blob:` shows the chosen photo from the browser's memory.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # The browser revalidates each file by its ETag, so that a new page never runs with an old script.
    "Cache-Control": "no-cache",
}


def page() -> APIRouter:
    """Return the routes of the page: `/` and the files under `/static/`, no others."""
    router = APIRouter(include_in_schema=False)
    routes = {"/": "index.html", **{f"/static/{name}": name for name in (*_SCRIPTS, "page.css", "icon.svg")}}
    for path, name in routes.items():
        router.add_api_route(path, _sender(name), methods=["GET", "HEAD"], response_class=FileResponse)
    return router


def _sender(name: str) -> Callable[[], Awaitable[FileResponse]]:
    path = _FOLDER / name

    async def send() -> FileResponse:
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers=_HEADERS)

    return send
