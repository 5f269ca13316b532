"""What the platform asks: alive, ready, and the metrics."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serve.observe.merged import merged
from serve.schemas import Status
from serve.service import Service

__all__ = ["probes"]


def probes(service: Service) -> APIRouter:
    """The routes of the probes."""
    router = APIRouter()

    @router.get("/livez", response_model=Status, summary="The process answers")
    async def livez() -> Status:
        return Status(status="alive")

    @router.get("/readyz", response_model=Status, summary="Searches are answered", responses={503: {"model": Status}})
    async def readyz() -> Response:
        status, code = ("ready", 200) if service.ready else ("loading", 503)
        return JSONResponse({"status": status}, status_code=code)

    @router.get("/metrics", response_class=Response, summary="Prometheus metrics")
    async def metrics() -> Response:
        """Of several processes, each sample has the label `worker`."""
        own = service.metrics.exposition()
        if service.peers is not None:
            others = await service.peers.metrics()
            own = merged({**others, service.peers.number: own.decode()})
        return Response(own, media_type=CONTENT_TYPE_LATEST)

    @router.get("/metrics/worker", include_in_schema=False)
    async def own_metrics() -> Response:
        return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return router
