"""Which request needs which key, over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from serve.access.access import Access, role_of
from serve.access.keys import Role, new_key
from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.errors import ConfigError
from tests.serve.small_bundle import Shop

MADE = {role: new_key(role.name.lower(), role) for role in Role}
SLOW = new_key("slow", Role.SEARCH, rate=0.01)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def keyed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Path]]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text("\n".join(key.line() for _, key in (*MADE.values(), SLOW)))
    with TestClient(create_app(shop.root, ServeSettings(keys_file=path, search_access="key"))) as client:
        yield client, path


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/", None),
        ("GET", "/livez", None),
        ("GET", "/metrics", None),
        ("POST", "/v1/search", Role.SEARCH),
        ("GET", "/v1/items/a/similar", Role.SEARCH),
        ("PUT", "/v1/items/a", Role.WRITE),
        ("PATCH", "/v1/items/admin/similar", Role.WRITE),
        ("DELETE", "/v1/items/a", Role.WRITE),
        ("POST", "/v1/admin/bundle", Role.ADMIN),
        ("GET", "/v1/admin/bundle", Role.ADMIN),
    ],
)
def test_role_of_a_request(method, path, role):
    assert role_of(method, path) is role


def test_search_needs_a_known_key(keyed):
    client, _ = keyed
    for headers in ({}, bearer("lk_wrong"), {"Authorization": f"Basic {MADE[Role.ADMIN][0]}"}, bearer("ü")):
        response = client.get("/v1/bundle", headers={name: value.encode() for name, value in headers.items()})
        assert response.status_code == 401
        assert response.json()["type"] == "urn:lookalike:problem:key-needed"
        assert response.headers["www-authenticate"].startswith("Bearer")
    for text, _ in MADE.values():
        assert client.get("/v1/bundle", headers=bearer(text)).status_code == 200
    assert client.get("/readyz").status_code == 200
    assert 'lookalike_refused_total{reason="key-needed"} 4.0' in client.get("/metrics").text


def test_a_lower_role_is_refused(keyed):
    client, _ = keyed
    for role in (Role.SEARCH, Role.WRITE):
        response = client.get("/v1/admin/bundle", headers=bearer(MADE[role][0]))
        assert response.status_code == 403
        assert f"has the role {role.name.lower()}" in response.json()["detail"]
    assert client.delete("/v1/items/x", headers=bearer(MADE[Role.SEARCH][0])).status_code == 403


def test_one_request_too_many_is_429(keyed):
    client, _ = keyed
    assert client.get("/v1/bundle", headers=bearer(SLOW[0])).status_code == 200
    response = client.get("/v1/bundle", headers=bearer(SLOW[0]))
    assert response.status_code == 429
    assert 95 < int(response.headers["retry-after"]) <= 100
    assert response.headers["ratelimit"] == f'"key";r=0;t={response.headers["retry-after"]}'
    assert client.get("/v1/bundle", headers=bearer(MADE[Role.SEARCH][0])).status_code == 200


def test_without_keys_searches_are_open_and_changes_are_refused_with_the_fix(client):
    assert client.get("/v1/bundle").status_code == 200
    for method, path in (("DELETE", "/v1/items/x"), ("POST", "/v1/admin/bundle")):
        response = client.request(method, path)
        assert response.status_code == 403
        assert "python -m serve.access new --role" in response.json()["detail"]


def test_keys_are_read_again_and_wrong_ones_leave_the_old(tmp_path):
    path = tmp_path / "keys"
    path.write_text(MADE[Role.SEARCH][1].line())
    access = Access(ServeSettings(keys_file=path, keys=MADE[Role.ADMIN][1].line(), search_access="key"))
    assert not access.reload()
    assert access.admit("GET", "/v1/bundle", f"Bearer {MADE[Role.SEARCH][0]}") == "search"
    path.write_text(MADE[Role.WRITE][1].line())
    assert access.reload()
    assert access.admit("GET", "/v1/bundle", f"bearer {MADE[Role.WRITE][0]}") == "write"
    with pytest.raises(Exception, match="unknown"):
        access.admit("GET", "/v1/bundle", f"Bearer {MADE[Role.SEARCH][0]}")
    path.write_text("nonsense")
    with pytest.raises(ConfigError, match="line 1"):
        access.reload()
    assert not access.reload()
    assert access.admit("GET", "/v1/admin/x", f"Bearer {MADE[Role.ADMIN][0]}") == "admin"


def test_no_key_left_does_not_open_what_needs_one(tmp_path):
    path = tmp_path / "keys"
    path.write_text(MADE[Role.SEARCH][1].line())
    access = Access(ServeSettings(keys_file=path, host="0.0.0.0"))
    path.write_text("")
    assert access.reload()
    with pytest.raises(Exception, match="needs a key"):
        access.admit("GET", "/v1/bundle", None)


@pytest.mark.parametrize(
    ("host", "asked", "needed"),
    [("127.0.0.1", "auto", False), ("::1", "auto", False), ("0.0.0.0", "auto", True), ("0.0.0.0", "open", False),
     ("localhost", "key", True)],
)  # fmt: skip
def test_when_searches_need_a_key(host, asked, needed):
    settings = ServeSettings(keys=MADE[Role.SEARCH][1].line(), host=host, search_access=asked)
    assert Access(settings).search_needs_key is needed


def test_keys_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        Access(ServeSettings(keys_file=tmp_path / "none"))
    with pytest.raises(ConfigError, match="there are no keys"):
        Access(ServeSettings(search_access="key"))


def test_secrets_are_not_shown(keyed, caplog):
    client, _ = keyed
    caplog.set_level("DEBUG")
    text = MADE[Role.SEARCH][0]
    response: httpx.Response = client.get("/v1/bundle", headers=bearer(text))
    assert text not in caplog.text + response.text + client.get("/metrics").text
    assert "0000" not in repr(ServeSettings(keys="0000"))


def test_every_route_that_changes_something_needs_more_than_search(client):
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            if method in ("put", "patch", "delete") or path.startswith("/v1/admin"):
                assert role_of(method.upper(), path) in (Role.WRITE, Role.ADMIN), (method, path)
