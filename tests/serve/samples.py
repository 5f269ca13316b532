"""What /metrics shows."""

import httpx
from prometheus_client.parser import text_string_to_metric_families


def samples(client: httpx.Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The value of each sample, by name and labels."""
    return {
        (found.name, frozenset(found.labels.items())): found.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for found in family.samples
    }


def sample(client: httpx.Client, name: str, **labels: str) -> float:
    """One sample; 0 where there is none."""
    return samples(client).get((name, frozenset(labels.items())), 0.0)
