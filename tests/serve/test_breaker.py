import asyncio
import random

import pytest

from serve.breaker import Breaker, BreakerOpenError, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock=clock)


def attempt(breaker: Breaker, *, fails: bool = False) -> bool:
    """Whether the call was made."""
    made = False
    try:
        with breaker.call():
            made = True
            if fails:
                raise OSError
    except (OSError, BreakerOpenError):
        pass
    return made


def test_opens_after_failures_and_refuses(breaker):
    assert [attempt(breaker, fails=True) for _ in range(5)] == [True] * 5
    assert breaker.state is OPEN
    assert not attempt(breaker)
    with pytest.raises(BreakerOpenError), breaker.call():
        raise AssertionError("must not run")


def test_failures_far_apart_do_not_open_it(breaker):
    for _ in range(50):
        attempt(breaker, fails=True)
        for _ in range(4):
            attempt(breaker)
    assert breaker.state is CLOSED


def test_failing_every_other_time_opens_it(breaker):
    for number in range(10):
        attempt(breaker, fails=number % 2 == 0)
    assert breaker.state is OPEN


def test_probe_closes_it_and_old_failures_are_forgotten(breaker, clock):
    for _ in range(5):
        attempt(breaker, fails=True)
    clock.now += 0.9
    assert not attempt(breaker)
    clock.now += 0.1
    assert attempt(breaker)
    assert breaker.state is CLOSED
    attempt(breaker, fails=True)
    assert breaker.state is CLOSED


def test_failed_probe_opens_it_for_another_pause(breaker, clock):
    for _ in range(5):
        attempt(breaker, fails=True)
    clock.now += 1
    assert attempt(breaker, fails=True)
    assert breaker.state is OPEN
    clock.now += 0.9
    assert not attempt(breaker)
    clock.now += 0.1
    assert attempt(breaker)


def test_only_one_probe_at_a_time(breaker, clock):
    for _ in range(5):
        attempt(breaker, fails=True)
    clock.now += 5
    with breaker.call():
        assert breaker.state is HALF_OPEN
        assert not attempt(breaker)
        clock.now += 5
        assert not attempt(breaker)
    assert breaker.state is CLOSED


def test_cancelled_probe_leaves_room_for_the_next(breaker, clock):
    for _ in range(5):
        attempt(breaker, fails=True)
    clock.now += 1
    with pytest.raises(asyncio.CancelledError), breaker.call():
        raise asyncio.CancelledError
    assert breaker.state is OPEN
    assert attempt(breaker)
    assert breaker.state is CLOSED


@pytest.mark.parametrize("fails", [False, True])
def test_call_from_before_opening_decides_nothing(breaker, clock, fails):
    slow = breaker.call()
    slow.__enter__()
    for _ in range(5):
        attempt(breaker, fails=True)
    if fails:
        clock.now += 1
        assert attempt(breaker)
        for _ in range(4):
            attempt(breaker, fails=True)
        slow.__exit__(OSError, OSError(), None)
        assert breaker.state is CLOSED
    else:
        slow.__exit__(None, None, None)
        assert breaker.state is OPEN


def test_spared_exceptions_are_the_callers_fault(breaker, clock):
    for _ in range(10):
        with pytest.raises(KeyError), breaker.call(spares=(KeyError,)):
            raise KeyError
    assert breaker.state is CLOSED
    for _ in range(5):
        attempt(breaker, fails=True)
    clock.now += 1
    with pytest.raises(KeyError), breaker.call(spares=(KeyError,)):
        raise KeyError
    assert breaker.state is CLOSED


def test_changes_are_told(clock):
    seen = []
    breaker = Breaker(clock=clock, on_change=seen.append)
    for _ in range(5):
        attempt(breaker, fails=True)
    clock.now += 1
    attempt(breaker)
    assert seen == [OPEN, HALF_OPEN, CLOSED]


def test_random_walk_keeps_the_rules():
    """At any time: at most one call runs while half-open, and none is made within the pause after opening."""
    rng = random.Random(5)
    clock = Clock()
    opened: list[float] = []
    breaker = Breaker(clock=clock, on_change=lambda state: opened.append(clock.now) if state is OPEN else None)
    running: list = []
    for _ in range(20_000):
        clock.now += rng.choice([0.0, 0.01, 0.3])
        if running and rng.random() < 0.6:
            call = running.pop(rng.randrange(len(running)))
            if rng.random() < 0.4:
                call.__exit__(OSError, OSError(), None)
            else:
                call.__exit__(None, None, None)
            continue
        before = breaker.state
        call = breaker.call()
        try:
            call.__enter__()
        except BreakerOpenError:
            assert before is not CLOSED
        else:
            running.append(call)
            assert before is CLOSED or (before is OPEN and clock.now - opened[-1] >= 1.0)
    assert len(opened) > 50
