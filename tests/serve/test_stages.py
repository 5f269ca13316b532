import time

import pytest

from serve.metrics import Metrics
from serve.stages import Stages


def test_times_are_those_of_the_stages_the_rest_is_waiting():
    metrics = Metrics()
    stages = Stages(metrics)
    stages.record("decode", waited=None, worked=0.25)
    stages.record("embed", waited=0.5, worked=0.125)
    assert stages.seconds == {"decode": 0.25, "embed": 0.125}
    times = stages.milliseconds()
    assert times.keys() == {"decode", "embed", "wait", "total"}
    assert (times["decode"], times["embed"], times["wait"]) == (250, 125, 0)
    work, wait = (lambda stage: metrics.stage_seconds.labels(stage)._sum.get()), metrics.wait_seconds
    assert (work("decode"), work("embed")) == (0.25, 0.125)
    assert wait.labels("embed")._sum.get() == 0.5
    assert wait.labels("decode")._sum.get() == 0


def test_total_is_the_time_since_the_start_and_wait_what_no_stage_took():
    stages = Stages(Metrics())
    started = time.perf_counter()
    stages.record("search", waited=None, worked=0.001)
    while time.perf_counter() < started + 0.01:
        pass
    times = stages.milliseconds()
    assert times["total"] >= 10
    assert times["total"] == pytest.approx(times["search"] + times["wait"], abs=0.01)


def test_stage_that_is_reached_several_times_has_the_sum():
    stages = Stages(Metrics())
    for _ in range(3):
        stages.record("search", waited=None, worked=0.25)
    assert stages.seconds == {"search": 0.75}
