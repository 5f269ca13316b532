import itertools
import random

from serve.edge.standing_load import StandingLoad


def test_burst_is_none_and_a_load_that_lasts_is_one():
    load = StandingLoad(3)
    load.changed(8, 100.0)
    assert not load.stands(100.07)
    assert load.stands(100.09)


def test_level_below_is_no_load_however_long():
    load = StandingLoad(3)
    load.changed(2, 100.0)
    assert not load.stands(200.0)


def test_gaps_of_a_few_milliseconds_are_no_relief_and_a_pause_is():
    load = StandingLoad(2)
    load.changed(2, 0.0)
    for turn in range(1, 40):
        load.changed(0, turn * 0.05)
        load.changed(2, turn * 0.05 + 0.01)
        assert turn < 3 or load.stands(turn * 0.05 + 0.01)
    load.changed(0, 2.0)
    assert not load.stands(2.05)
    load.changed(2, 2.05)
    assert not load.stands(2.07), "it has begun anew"


def test_share_of_time_is_that_of_an_exponential_window():
    """Against the integral of the indicator under exp(-t / 50 ms), step by step."""
    random_ = random.Random(0)
    times = list(itertools.accumulate(random_.expovariate(50) for _ in range(200)))
    counts = [random_.randrange(6) for _ in times]
    load, share = StandingLoad(3), 0.0
    step = 1e-4
    now, place = 0.0, -1
    while now < times[-1]:
        while place + 1 < len(times) and times[place + 1] <= now:
            place += 1
            load.changed(counts[place], times[place])
        reached = place >= 0 and counts[place] >= 3
        assert abs(load._share_at(now) - share) < 0.02
        share += step / 0.05 * (reached - share)
        now += step
