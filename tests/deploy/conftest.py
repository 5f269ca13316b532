"""The service's metrics."""

import pytest
from fastapi.testclient import TestClient

from tests.serve.conftest import client, shop
from tests.serve.samples import samples

__all__ = ["client", "exposed", "shop"]


@pytest.fixture(scope="session")
def exposed(client: TestClient) -> dict[str, set[str]]:
    """Names of all samples that /metrics has from the start, and the labels of each."""
    found: dict[str, set[str]] = {}
    for name, labels in samples(client):
        # Those of Prometheus are always there.
        found.setdefault(name, {"job", "instance"}).update(label for label, _ in labels)
    return found
