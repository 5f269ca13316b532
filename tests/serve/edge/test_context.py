import asyncio
import json
import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse

from serve.edge.context import RequestContext
from serve.metrics import Metrics


class Service:
    """An application of a few routes behind the middleware."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.app = FastAPI()

        @self.app.get("/fine/{name}")
        async def fine(name: str, request: Request) -> dict[str, str]:
            request.state.rung = "search"
            return {"request_id": request.state.request_id}

        @self.app.get("/own-policy")
        async def own_policy() -> StreamingResponse:
            return StreamingResponse(iter(["x"]), headers={"Content-Security-Policy": "default-src 'self'"})

        @self.app.get("/bug")
        async def bug() -> None:
            raise RuntimeError("secret detail")

        @self.app.get("/late-bug")
        async def late_bug() -> StreamingResponse:
            def parts():
                yield b"half"
                raise RuntimeError("secret detail")

            return StreamingResponse(parts())

        self.leaving = False
        self.app.add_middleware(RequestContext, metrics=self.metrics, leaving=lambda: self.leaving)
        self.client = TestClient(self.app)

    def counted(self, endpoint: str, status: str) -> float:
        return self.metrics.answered(endpoint, status)._value.get()


@pytest.fixture
def service() -> Service:
    return Service()


def test_request_id_is_kept_where_it_is_harmless(service):
    kept = service.client.get("/fine/1", headers={"x-request-id": "abc-1.2_X"})
    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "abc-1.2_X"
    for harmful in ("a b", "<script>", "x" * 65, ""):
        given = service.client.get("/fine/1", headers={"x-request-id": harmful}).headers["x-request-id"]
        assert given != harmful
        assert len(given) == 32


def test_ids_differ(service):
    assert len({service.client.get("/fine/1").headers["x-request-id"] for _ in range(50)}) == 50


def test_security_headers_are_on_every_answer_and_a_route_may_set_its_own(service):
    for path in ("/fine/1", "/nothing", "/bug"):
        headers = service.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    own = service.client.get("/own-policy").headers
    assert own.get_list("content-security-policy") == ["default-src 'self'"]


def test_requests_are_counted_by_the_routes_pattern(service):
    for name in ("1", "2"):
        service.client.get(f"/fine/{name}")
        service.client.get(f"/made/up/{name}")
    service.client.post("/fine/1")
    assert service.counted("/fine/{name}", "200") == 2
    assert service.counted("unmatched", "404") == 2
    assert service.counted("/fine/{name}", "405") == 1


def test_bug_of_ours_is_a_problem_with_the_id_of_the_log(service, caplog):
    response = service.client.get("/bug")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-request-id"] in caplog.text
    assert "secret detail" in caplog.text
    assert service.counted("/bug", "500") == 1


def test_bug_after_the_head_closes_the_connection(service, caplog):
    with pytest.raises(RuntimeError, match="secret detail"):
        service.client.get("/late-bug")
    assert "/late-bug failed" in caplog.text


def test_client_that_left_is_counted_as_499(service):
    async def leaves(*_: object) -> None:
        raise ClientDisconnect

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(RequestContext(leaves, metrics=service.metrics)(scope, None, None))
    assert service.counted("unmatched", "499") == 1


def test_each_request_has_a_record_and_probes_only_at_level_debug(service, caplog):
    @service.app.get("/livez")
    async def livez() -> None:
        return None

    with caplog.at_level(logging.INFO, logger="serve.requests"):
        service.client.get("/fine/1?secret=1", headers={"x-request-id": "mine"})
        service.client.get("/livez")
    [record] = [found for found in caplog.records if found.name == "serve.requests"]
    fields = dict(record.fields)
    assert 0 <= fields.pop("ms") < 60_000
    assert fields == {
        "request_id": "mine", "method": "GET", "endpoint": "/fine/{name}", "status": 200, "rung": "search",
    }  # fmt: skip
    assert json.dumps(fields)
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger="serve.requests"):
        service.client.get("/livez")
    assert [found.fields["endpoint"] for found in caplog.records if found.name == "serve.requests"] == ["/livez"]


def test_connections_are_closed_while_the_process_is_leaving(service):
    assert "connection" not in service.client.get("/fine/1").headers
    service.leaving = True
    assert service.client.get("/fine/1").headers["connection"] == "close"
