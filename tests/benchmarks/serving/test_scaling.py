"""The model of a replica against a simulated queue, and a tiny run."""

import heapq

import numpy as np
import pytest

from benchmarks.serving.replica_model import Replica, replicas_for
from benchmarks.serving.scaling import main
from tests.search.small_bundle import Shop


def simulated_p99(service: np.ndarray, cores: int, rate: float, *, requests: int = 200_000) -> float:
    """First come, first served by so many servers, Poisson arrivals."""
    rng = np.random.default_rng(0)
    arrivals = np.cumsum(rng.exponential(1 / rate, requests))
    needed = rng.choice(service, requests)
    free = [0.0] * cores
    times = np.empty(requests)
    for number, (arrival, need) in enumerate(zip(arrivals, needed, strict=True)):
        done = max(arrival, heapq.heappop(free)) + need
        heapq.heappush(free, done)
        times[number] = done - arrival
    return float(np.percentile(times[requests // 10 :], 99))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8, 0.9])
@pytest.mark.parametrize("varied", [False, True])
def test_the_model_gives_the_p99_of_a_queue(load: float, varied: bool) -> None:
    service = np.random.default_rng(1).gamma(4, 0.0025, 500) if varied else np.full(500, 0.01)
    cores = 2
    replica = Replica(service, cores / float(service.mean()), cores)
    expected = simulated_p99(service, cores, load * replica.capacity)
    assert replica.quantile(0.99, load * replica.capacity, varied=varied) == pytest.approx(expected, rel=0.2)


def test_replicas_are_as_few_as_may_be() -> None:
    replica = Replica(np.full(100, 0.01), 200.0, 2)
    assert replica.quantile(0.99, 200.0, varied=True) == np.inf
    assert replicas_for(replica, 10_000, p99=0.2, utilisation=0.7) == 72  # 10,000 / 140, rounded up
    tight = replicas_for(replica, 10_000, p99=0.02, utilisation=0.99)
    assert tight is not None
    assert replica.quantile(0.99, 10_000 / tight, varied=True) <= 0.02
    assert replica.quantile(0.99, 10_000 / (tight - 1), varied=True) > 0.02
    assert replicas_for(replica, 10, p99=0.005, utilisation=0.7) is None


@pytest.mark.slow
def test_a_tiny_run(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["scaling", "--bundle", str(shop.root), "--seconds", "0.4", "--users", "4"])
    main()
    printed = capsys.readouterr().out
    assert printed.count(" %) |") == 12
    assert "replicas for 10,000/s" in printed
