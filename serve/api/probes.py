"""The probes of a platform: alive, ready, metrics."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serve.schemas import Status
from serve.service import Service

__all__ = ["probe_routes"]


def probe_routes(service: Service) -> APIRouter:
    """The routes of the probes."""
    router = APIRouter(tags=["probes"])

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="The process answers")
    async def livez() -> Status:
        return Status(status="alive")

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", response_model=Status, summary="Searches are answered", responses={503: {"model": Status}})
    async def readyz() -> Response:
        status, code = ("ready", 200) if service.ready else ("loading", 503)
        return JSONResponse({"status": status}, status_code=code)

    @router.get("/metrics", response_class=Response, summary="Prometheus metrics")
    async def metrics() -> Response:
        """Of several processes, the sums over all of them."""
        return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return router
