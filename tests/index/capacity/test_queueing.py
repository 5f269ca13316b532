"""Queues against closed forms, and against a simulation of each request."""

import heapq

import numpy as np
import pytest
from scipy import stats

from src.index.capacity.queueing import AnswerTime, erlang_c, slowest_of

EXPONENTIAL = stats.expon.ppf((np.arange(4000) + 0.5) / 4000)


def simulate(service: np.ndarray, servers: int, rate: float, requests: int = 200_000) -> np.ndarray:
    """Answer times of requests that come at random to servers that take the one who came first."""
    rng = np.random.default_rng(0)
    arrivals = np.cumsum(rng.exponential(1 / rate, requests))
    takes = rng.choice(service, requests)
    free = [0.0] * servers
    answered = np.empty(requests)
    for number in range(requests):
        start = max(arrivals[number], heapq.heappop(free))
        answered[number] = start + takes[number]
        heapq.heappush(free, answered[number])
    return (answered - arrivals)[requests // 20 :]


@pytest.mark.parametrize(("servers", "load"), [(1, 0.3), (1, 0.99), (2, 1.5), (16, 11.0), (64, 63.0), (500, 480.0)])
def test_erlang_c_is_its_sum(servers: int, load: float) -> None:
    """C = P / (P + (1 - rho) F), with Poisson's probability P of c and its distribution F below c."""
    mass, below = stats.poisson.pmf(servers, load), stats.poisson.cdf(servers - 1, load)
    assert erlang_c(servers, load) == pytest.approx(mass / (mass + (1 - load / servers) * below), rel=1e-9)
    assert erlang_c(servers, 0.0) == 0.0


@pytest.mark.parametrize("servers", [1, 3, 16])
@pytest.mark.parametrize("busy", [0.3, 0.7, 0.9])
def test_exponential_service_gives_what_is_known_of_m_m_c(servers: int, busy: float) -> None:
    time = AnswerTime(EXPONENTIAL, servers, busy * servers)
    waits = erlang_c(servers, busy * servers)
    assert time.utilisation == pytest.approx(busy, rel=0.01)
    assert time.mean_wait == pytest.approx(waits / (servers * (1 - busy)), rel=0.02)
    if servers == 1:
        # The answer time of M/M/1 is exponential, with rate 1 - rho.
        late = stats.expon.sf([0.5, 2.0, 8.0], scale=1 / (1 - busy))
        np.testing.assert_allclose(time.later_than(np.array([0.5, 2.0, 8.0])), late, rtol=0.03)


@pytest.mark.parametrize("kind", ["exponential", "constant", "lognormal", "two kinds"])
@pytest.mark.parametrize(("servers", "busy"), [(1, 0.7), (8, 0.7), (16, 0.85)])
def test_p99_is_what_a_simulation_gives(kind: str, servers: int, busy: float) -> None:
    middles = (np.arange(400) + 0.5) / 400
    service = {
        "exponential": EXPONENTIAL,
        "constant": np.ones(200),
        "lognormal": stats.lognorm.ppf(middles, 0.5),
        "two kinds": np.repeat([0.5, 4.0], [180, 20]),
    }[kind]
    service = service / service.mean()
    true = float(np.quantile(simulate(service, servers, busy * servers), 0.99))
    planned = slowest_of(1, AnswerTime(service, servers, busy * servers), 0.99)
    # An approximation: a fifth off where the wait is far from exponential (one server, two kinds of request).
    assert planned == pytest.approx(true, rel=0.2)


@pytest.mark.parametrize("shards", [2, 20, 300])
@pytest.mark.parametrize("hedge_after", [None, 0.05])
def test_the_slowest_of_many_is_what_drawing_gives(shards: int, hedge_after: float | None) -> None:
    rng = np.random.default_rng(1)
    service = stats.lognorm.ppf((np.arange(2000) + 0.5) / 2000, 0.7)
    time = AnswerTime(service, 4, 1e-6)
    drawn = rng.choice(service, (40_000, shards))
    if hedge_after is not None:
        delay = np.quantile(service, 1 - hedge_after)
        drawn = np.minimum(drawn, delay + rng.choice(service, drawn.shape))
    true = np.quantile(drawn.max(axis=1), 0.99)
    assert slowest_of(shards, time, 0.99, hedge_after=hedge_after) == pytest.approx(true, rel=0.05)


def test_more_shards_are_later_and_more_servers_sooner() -> None:
    service = np.linspace(0.5, 1.5, 200)
    by_shards = [slowest_of(shards, AnswerTime(service, 4, 3.0), 0.99) for shards in (1, 4, 40)]
    assert by_shards == sorted(by_shards)
    assert by_shards[0] < by_shards[-1]
    by_servers = [slowest_of(4, AnswerTime(service, servers, 3.0), 0.99) for servers in (4, 5, 9)]
    assert by_servers == sorted(by_servers, reverse=True)
