"""The metrics of several workers in one answer, each with its worker's number."""

from collections.abc import Mapping

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["merged"]


class _Collected:
    """A registry of what was measured elsewhere."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def merged(expositions: Mapping[int, str]) -> bytes:
    """Put text expositions together; every sample gets the label `worker`."""
    families: dict[str, Metric] = {}
    for worker, text in sorted(expositions.items()):
        for family in text_string_to_metric_families(text):
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                known.samples.append(sample._replace(labels={**sample.labels, "worker": str(worker)}))
    return generate_latest(_Collected(list(families.values())))
