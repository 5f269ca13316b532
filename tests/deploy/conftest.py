"""The service's metrics."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serve.conftest import client, shop

__all__ = ["client", "exposed", "shop"]


@pytest.fixture(scope="session")
def exposed(client) -> dict[str, set[str]]:
    """The series of /metrics before and after a search, and the labels of each."""
    always = {"job", "instance"}  # Prometheus's own.
    found: dict[str, set[str]] = {}
    client.get("/livez")
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set(always)).update(sample.labels)
        found.setdefault(family.name, set(always))
    return found
