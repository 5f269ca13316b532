"""The service's metrics."""

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest

from tests.search.small_bundle import picture
from tests.serve.conftest import client, shop

__all__ = ["client", "exposed", "shop"]


@pytest.fixture(scope="session")
def exposed(client: TestClient) -> dict[str, set[str]]:
    """Names of all series that /metrics has, those without a value yet included, and the labels of each."""
    registries: list[CollectorRegistry] = []

    def exposition(registry: CollectorRegistry) -> bytes:
        registries.append(registry)
        return generate_latest(registry)

    assert client.post("/v1/search", files={"image": picture(1)}).status_code == 200
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("serve.observe.metrics.generate_latest", exposition)
        assert client.get("/metrics").status_code == 200
    (registry,) = registries
    always = {"job", "instance"}  # Prometheus's own.
    # What the process's collector has is not registered by name.
    found = {sample.name: always | set(sample.labels) for family in registry.collect() for sample in family.samples}
    for name, collector in registry._names_to_collectors.items():
        found[name] = always | {*collector._labelnames, *(["le"] if name.endswith("_bucket") else [])}
    return found
