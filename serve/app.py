"""The FastAPI application: routes, middlewares and the service's lifetime."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute

from serve.api.admin import admin_routes
from serve.api.items import item_routes
from serve.api.probes import probe_routes
from serve.api.search import search_routes
from serve.edge.body_limit import BodyLimit
from serve.edge.context import RequestContext
from serve.errors import install_handlers
from serve.page import page
from serve.service import Service
from serve.settings import ServeSettings
from src.contracts.errors import LookalikeError

__all__ = ["create_app"]


def create_app(
    bundle_path: Path,
    settings: ServeSettings | None = None,
    *,
    on_ready: Callable[[], object] = lambda: None,
    on_refusal: Callable[[LookalikeError], object] = lambda error: None,
) -> FastAPI:
    """Make the application; raises `ConfigError` for an address in the settings that is none.

    The bundle is verified and loaded when the lifespan starts; then `on_ready` is called, or `on_refusal` where it, or
    the state folder, cannot be served.
    """
    settings = settings or ServeSettings()
    service = Service(bundle_path, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with service.running():
                on_ready()
                yield
        except LookalikeError as error:
            on_refusal(error)
            raise

    app = FastAPI(
        title="Lookalike",
        description="Visual similarity search over one bundle.",
        version="1",
        lifespan=lifespan,
        # Their scripts come from another host, which the content security policy refuses.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={
            "tracing": True,
            "auto_configure": True,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "exclude": lambda scope: not scope["path"].startswith("/v1/"),
        },
    )
    app.state.service = service
    install_handlers(app)
    for routes in (search_routes, item_routes, admin_routes, probe_routes):
        router = routes(service)
        app.include_router(router)
        for route in router.routes:
            if isinstance(route, APIRoute):
                service.metrics.expect(route.path, [200, 500, *route.responses])
    app.include_router(page())
    # The last one added is the outermost.
    app.add_middleware(
        BodyLimit, max_bytes=settings.max_upload, seconds=settings.upload_seconds, metrics=service.metrics
    )
    app.add_middleware(RequestContext, metrics=service.metrics, leaving=lambda: service.leaving)
    return app
