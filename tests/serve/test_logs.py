"""The log in JSON: a line for each request, without pictures and without keys."""

import json

import httpx
from serve.access.keys import Role, new_key

from tests.search.small_bundle import Shop
from tests.serve.running import running


def test_each_request_is_one_object_without_secrets(shop: Shop):
    text, key = new_key("ops", Role.ADMIN)
    environment = {"LOOKALIKE_KEYS": key.line(), "LOOKALIKE_LOG_FORMAT": "json"}
    with running(["--bundle", str(shop.root)], environment=environment) as started:
        headers = {"Authorization": f"Bearer {text}", "X-Request-ID": "mine"}
        for name in ("photo-of-me.jpg", "two.jpg"):
            httpx.post(f"{started.url}/v1/search", files={"image": (name, shop.pictures[0])}, headers=headers)
        httpx.get(f"{started.url}/v1/nothing?secret=1", headers={"Authorization": "Bearer lk_wrong"})
        httpx.get(f"{started.url}/livez")
        code, errors = started.stop()
    assert code == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    requests = [line for line in lines if line["logger"] == "serve.requests"]
    assert len(requests) == 3
    first = requests[0]
    assert {first[name] for name in ("request_id", "method", "endpoint", "key", "level")} == {
        "mine", "POST", "/v1/search", "ops", "info",
    }  # fmt: skip
    assert first["status"] == 200
    assert 0 < first["ms"] < 60_000
    assert (requests[2]["status"], requests[2]["endpoint"]) == (401, "unmatched")
    assert any("60 items" in line["message"] for line in lines)
    for secret in (text, key.digest, "lk_wrong", "photo-of-me", "secret=1"):
        assert secret not in errors


def test_text_has_no_line_for_a_request_and_the_level_holds(shop: Shop):
    with running(["--bundle", str(shop.root), "--log-level", "warning"]) as started:
        httpx.get(f"{started.url}/v1/bundle")
        assert started.stop() == (0, "")
