"""The service's metrics."""

import re

import pytest
from fastapi.testclient import TestClient

from tests.serve.conftest import client, shop
from tests.serve.small_bundle import picture

__all__ = ["client", "exposed", "shop"]


@pytest.fixture(scope="session")
def exposed(client: TestClient) -> set[str]:
    """Names of all series that /metrics has, those without a value yet included."""
    assert client.post("/v1/search", files={"image": picture(1)}).status_code == 200
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", client.get("/metrics").text, re.MULTILINE):
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names
