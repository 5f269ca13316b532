from collections.abc import Iterator

import httpx
import pytest

from benchmarks.serving.mutated_images import resident_mb, send_all
from benchmarks.serving.mutations import mutations, seeds
from tests.search.small_bundle import Shop
from tests.serve.running import Running, running

COUNT = 1500
MOST_SECONDS = 10.0
MOST_MB = 500


@pytest.fixture(scope="module")
def service(shop: Shop) -> Iterator[Running]:
    with running(["--bundle", str(shop.root), "--workers", "2"]) as started:
        yield started
        assert started.stop()[0] == 0


def test_sound_files_of_every_kind_are_searched(service):
    outcome = send_all(service.url, seeds().items())
    assert outcome.statuses == {200: len(seeds())}, outcome.wrong


def test_damaged_files_are_the_callers_error_and_cost_what_the_limits_say(service):
    """`python -m benchmarks.serving.mutated_images` sends more, and the large ones."""
    before = resident_mb(service.process.pid)
    outcome = send_all(service.url, ((f"{name}, {way}", data) for name, way, data in mutations(COUNT)))
    assert outcome.wrong == []
    assert outcome.statuses.total() == COUNT
    assert min(outcome.statuses[status] for status in (200, 413, 415, 422)) > COUNT // 100
    assert outcome.slowest[0] < MOST_SECONDS
    assert resident_mb(service.process.pid, peak=True) - before < MOST_MB
    assert httpx.get(f"{service.url}/readyz").status_code == 200


def test_the_same_files_come_for_the_same_seed():
    assert list(mutations(40, seed=3)) == list(mutations(40, seed=3))
    assert list(mutations(40, seed=3)) != list(mutations(40, seed=4))
