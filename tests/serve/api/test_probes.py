import pytest
from fastapi.testclient import TestClient

from serve.app import create_app


def test_probes_answer(client):
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz"])
def test_head_is_answered_without_a_body(client, path):
    response = client.head(path)
    assert (response.status_code, response.content) == (200, b"")


def test_service_that_has_not_loaded_is_alive_and_not_ready(shop):
    unstarted = TestClient(create_app(shop.root))
    assert unstarted.get("/livez").status_code == 200
    assert unstarted.head("/livez").status_code == 200
    for response in (unstarted.get("/readyz"), unstarted.head("/readyz")):
        assert response.status_code == 503
    assert unstarted.get("/readyz").json() == {"status": "loading"}


def test_metrics_are_text(client):
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
