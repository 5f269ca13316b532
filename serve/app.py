"""The application: routes, middlewares and the bundle's life, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from serve.api.admin import admin
from serve.api.endpoints import api
from serve.api.explain import explain
from serve.api.items import items
from serve.api.probes import probes
from serve.edge.admission import Admission
from serve.edge.authorization import Authorization
from serve.edge.body_limit import BodyLimit
from serve.edge.direct import Direct
from serve.edge.lingering import LingeringClose
from serve.edge.request_context import RequestContext
from serve.edge.tracing import Tracing
from serve.edge.write_limit import WriteLimit
from serve.errors import install_handlers
from serve.page import page
from serve.peers import Peers
from serve.service import Service
from serve.settings import ServeSettings

__all__ = ["create_app"]


def create_app(bundle_path: Path, settings: ServeSettings | None = None, peers: Peers | None = None) -> FastAPI:
    """Make the application; the bundle is verified and loaded when its lifespan begins.

    Args:
        bundle_path: the bundle's folder.
        settings: its limits.
        peers: the other processes of the service; None: there are none.

    Raises:
        ConfigError: keys that cannot be read.
    """
    settings = settings or ServeSettings()
    service = Service(bundle_path=bundle_path, settings=settings, peers=peers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="Lookalike",
        description="Visual similarity search over one bundle.",
        version="1",
        lifespan=lifespan,
        # Their scripts come from a CDN, which the content security policy and a closed network both refuse.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Newer FastAPIs make spans, metrics and logs of their own, with exceptions' texts; ours are what is documented.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.service = service
    install_handlers(app)
    searches = api(service)
    for router in (searches, explain(service), admin(service), items(service), probes(service), page()):
        app.include_router(router)
    # The last one added is the outermost: refusals, too, have an id and are counted.
    app.add_middleware(Direct, routes=searches.routes)
    app.add_middleware(BodyLimit, max_bytes=settings.max_upload, seconds=settings.upload_seconds)
    app.add_middleware(WriteLimit, metrics=service.metrics)
    app.add_middleware(
        Admission,
        limit=settings.max_in_flight,
        standing=settings.max_standing or settings.max_in_flight,
        max_body=settings.max_upload,
        metrics=service.metrics,
    )
    app.add_middleware(Authorization, access=service.access, metrics=service.metrics)
    app.add_middleware(LingeringClose, max_bytes=2 * settings.max_upload)
    app.add_middleware(Tracing)
    app.add_middleware(RequestContext, metrics=service.metrics)
    return app
