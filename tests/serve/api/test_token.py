import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from serve.api.token import token_required
from serve.edge.context import RequestContext
from serve.errors import install_handlers
from serve.metrics import Metrics
from tests.serve.problems import check_problem

TOKEN = "a-long-token.of_16~letters+/=="


def made(token: str | None) -> tuple[TestClient, Metrics]:
    metrics = Metrics()
    app = FastAPI()
    install_handlers(app)
    app.add_middleware(RequestContext, metrics=metrics)
    required = Depends(token_required(None if token is None else SecretStr(token), metrics))

    @app.put("/", dependencies=[required])
    async def change() -> str:
        return "changed"

    return TestClient(app), metrics


def refused(metrics: Metrics, reason: str) -> float:
    return metrics.refused.labels(reason)._value.get()


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN} "])
def test_token_lets_in(header):
    client, metrics = made(TOKEN)
    assert client.put("/", headers={"Authorization": header}).json() == "changed"
    assert refused(metrics, "wrong-token") == refused(metrics, "no-token") == 0


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no-token"),
        ("", "no-token"),
        ("Bearer", "no-token"),
        ("Bearer ", "no-token"),
        (TOKEN, "no-token"),
        (f"Bearer {TOKEN}x", "wrong-token"),
        (f"Bearer {TOKEN[:-1]}", "wrong-token"),
        (f"Bearer {TOKEN.upper()}", "wrong-token"),
        (f"Basic {TOKEN}", "wrong-token"),
        (f"Bearer{TOKEN}", "no-token"),
        (f"Bearer {TOKEN}, Bearer {TOKEN}", "wrong-token"),
        (b"Bearer \xff\xfe", "wrong-token"),
    ],
)
def test_anything_else_is_401_and_counted(header, reason):
    client, metrics = made(TOKEN)
    response = client.put("/", headers={} if header is None else {"Authorization": header})
    told = check_problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in told
    assert refused(metrics, reason) == 1


@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer None", f"Bearer {TOKEN}"])
def test_service_without_a_token_lets_nobody_in(header):
    client, metrics = made(None)
    response = client.put("/", headers={} if header is None else {"Authorization": header})
    assert "LOOKALIKE_TOKEN" in check_problem(response, 403)
    assert response.json()["type"] == "urn:lookalike:problem:writes-off"
    assert refused(metrics, "off") == 1
