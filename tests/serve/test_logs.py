"""The log: one JSON object for each request, and nothing of a caller's content in it."""

import json
import signal
import subprocess
import sys

from tests.search.small_bundle import Shop
from tests.serve.running import ROOT, TOKEN, running

SCRIPT = """
import logging, logging.config, sys
from serve.logs import REQUESTS, log_config

logging.config.dictConfig(log_config(form=sys.argv[1], level=sys.argv[2]))
logging.getLogger("other").info("not written")
logging.getLogger("other").warning("written")
logging.getLogger("serve").debug("at level debug")
logging.getLogger("src.x").warning("a %s", "b\\nö")
REQUESTS.info("request", extra={"fields": {"status": 200, "ms": 1.5}})
try:
    raise RuntimeError("x")
except RuntimeError:
    logging.getLogger("serve").exception("failed")
"""


def written(form: str, level: str) -> list[str]:
    """The lines of a process with this log: configuring one closes the handlers of pytest."""
    command = [sys.executable, "-c", SCRIPT, form, level]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr.splitlines()


def test_json_has_level_logger_message_fields_and_exceptions():
    lines = [json.loads(line) for line in written("json", "info")]
    assert [(line["level"], line["logger"], line["message"]) for line in lines] == [
        ("warning", "other", "written"), ("warning", "src.x", "a b\nö"), ("info", "serve.requests", "request"),
        ("error", "serve", "failed"),
    ]  # fmt: skip
    assert (lines[2]["status"], lines[2]["ms"]) == (200, 1.5)
    assert lines[3]["exception"].endswith("RuntimeError: x")
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_text_has_no_line_for_a_request_and_the_level_is_that_of_our_own_loggers():
    lines = [line.split(" ", 2)[2] for line in written("text", "debug") if line.startswith("20")]
    assert lines == [
        "WARNING other: written", "DEBUG serve: at level debug", "WARNING src.x: a b", "ERROR serve: failed",
    ]  # fmt: skip


def test_service_logs_each_request_and_none_of_its_secrets(shop: Shop):
    environment = {
        "LOOKALIKE_TOKEN": TOKEN,
        "LOOKALIKE_LOG_FORMAT": "json",
        "LOOKALIKE_REDIS_URL": "redis://:hidden@127.0.0.1:1/0",
        "LOOKALIKE_STORE_URL": "postgresql://me:hidden@127.0.0.1:1/x",
    }
    with running(["--bundle", str(shop.root)], environment=environment) as started:
        client = started.client
        for name in ("photo-of-me.jpg", "two.jpg"):
            headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-ID": "mine"}
            photo = {"image": (name, shop.pictures[0])}
            assert client.post("/v1/search", files=photo, headers=headers).status_code == 200
        assert client.get("/v1/nothing?secret=1").status_code == 404
        assert client.delete("/v1/items/secret=2", headers={"Authorization": "Bearer wrong"}).status_code == 401
        client.get("/livez")
        code, errors = started.stop()
    assert code == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    requests = [line for line in lines if line["logger"] == "serve.requests"]
    assert len(requests) == 4
    first = requests[0]
    for name in ("time", "logger", "message"):
        del first[name]
    assert 0 < first.pop("ms") < 60_000
    assert first == {
        "level": "info", "request_id": "mine", "method": "POST", "endpoint": "/v1/search", "status": 200,
        "rung": "search",
    }  # fmt: skip
    assert (requests[2]["status"], requests[2]["endpoint"]) == (404, "unmatched")
    assert requests[3]["status"] == 401
    assert any("120 images" in line["message"] for line in lines)
    for secret in (TOKEN, "hidden", "wrong", "photo-of-me", "secret=", "127.0.0.1"):
        assert secret not in errors, secret


def test_level_holds_and_an_interrupt_ends_the_service_with_0(shop: Shop):
    with running(["--bundle", str(shop.root), "--log-level", "warning"]) as started:
        assert started.client.get("/v1/bundle").status_code == 200
        assert started.stop(signal.SIGINT) == (0, "")
