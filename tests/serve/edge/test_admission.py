import time
from contextlib import ExitStack, suppress

import pytest

from serve.edge.admission import Admission
from serve.errors import Problem
from serve.metrics import Metrics


class Door:
    """An admission, and what it measured."""

    def __init__(self, *, limit: int, standing: int, what: str = "searches") -> None:
        self.metrics = Metrics()
        self.admission = Admission(limit=limit, standing=standing, metrics=self.metrics, what=what)

    @property
    def in_flight(self) -> int:
        return int(self.metrics.in_flight._value.get())

    def refusal(self, places: int = 1) -> Problem:
        before = self.metrics.rejected._value.get()
        with pytest.raises(Problem) as caught, self.admission.place(places):
            pytest.fail("it was let in")
        assert caught.value.status == 503
        assert caught.value.kind == "overloaded"
        assert 1 <= int(caught.value.headers["Retry-After"]) <= 30
        assert self.metrics.rejected._value.get() == before + 1
        return caught.value


def test_places_are_taken_and_given_back_whatever_happens_within():
    door = Door(limit=2, standing=2)
    with door.admission.place():
        with suppress(ZeroDivisionError), door.admission.place():
            assert door.in_flight == 2
            assert "2 searches are in flight, at most 2 may be" in door.refusal().detail
            raise ZeroDivisionError
        assert door.in_flight == 1
        door.admission.check()
    assert door.in_flight == 0


def test_batch_has_as_many_places_as_photos():
    door = Door(limit=4, standing=4)
    with door.admission.place(3):
        assert door.in_flight == 3
        assert "3 searches are in flight" in door.refusal(2).detail
        door.admission.check()
        with pytest.raises(Problem):
            door.admission.check(2)
        with door.admission.place():
            assert door.in_flight == 4
    with door.admission.place(4):
        door.refusal()
    assert door.in_flight == 0


def test_changes_are_not_counted_as_searches():
    door = Door(limit=1, standing=1, what="changes")
    with door.admission.place():
        assert door.in_flight == 0
        assert "1 changes are in flight" in door.refusal().detail


def test_burst_has_all_places_and_a_load_that_lasts_only_some(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    door = Door(limit=4, standing=2)
    with ExitStack() as two, ExitStack() as others:
        for stack in (two, two, others, others):
            stack.enter_context(door.admission.place())
        now += 0.2
        others.close()
        assert "2 searches are in flight, at most 2 may be" in door.refusal().detail
    now += 0.2
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(door.admission.place())


def test_batch_ends_as_many_searches_as_it_has_photos(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    door = Door(limit=10, standing=10)
    for _ in range(16):  # 2 a second, in fours
        with door.admission.place(4):
            now += 2.0
    with door.admission.place(10):
        assert door.refusal().headers["Retry-After"] == "5"


def test_refusal_says_when_the_work_in_flight_will_be_done(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    door = Door(limit=10, standing=10)
    for _ in range(64):  # 2 a second
        with door.admission.place():
            now += 0.5
    with door.admission.place(10):
        assert door.refusal().headers["Retry-After"] == "5"
        now += 3000
        assert door.refusal().headers["Retry-After"] == "30"
