import asyncio
import threading

import pytest

from serve.metrics import Metrics
from serve.pipeline.threads import ThreadPools
from serve.stages import Stages

pytestmark = pytest.mark.anyio


async def test_each_stage_has_threads_of_its_own_and_its_times():
    pools, metrics = ThreadPools(threads=2), Metrics()
    stages = Stages(metrics)
    name = await pools.run("decode", lambda: threading.current_thread().name, stages)
    assert name.startswith("decode")
    other = await pools.run("decode", lambda: threading.current_thread().name, stages, pool="large", threads=1)
    assert other.startswith("large")
    assert stages.seconds.keys() == {"decode"}
    assert metrics.stage_seconds.labels("decode")._sum.get() > 0
    pools.close()


async def test_pool_is_bounded_and_a_full_one_holds_no_other_up():
    pools, go, stages = ThreadPools(threads=2), threading.Event(), Stages(Metrics())
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert go.wait(60)
        with lock:
            running -= 1

    tasks = [asyncio.create_task(pools.run("decode", work, stages)) for _ in range(6)]
    assert await pools.run("search", lambda: 7, stages) == 7
    go.set()
    await asyncio.gather(*tasks)
    assert most == 2
    pools.close()


async def test_work_that_is_cancelled_before_its_turn_does_not_run():
    pools, go, stages, ran = ThreadPools(threads=1), threading.Event(), Stages(Metrics()), []
    first = asyncio.create_task(pools.run("decode", lambda: go.wait(60), stages))
    second = asyncio.create_task(pools.run("decode", lambda: ran.append(2), stages))
    third = asyncio.create_task(pools.run("decode", lambda: ran.append(3), stages))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    go.set()
    await asyncio.gather(first, third)
    assert ran == [3]
    pools.close()


async def test_exception_is_that_of_the_work():
    pools, stages = ThreadPools(threads=1), Stages(Metrics())
    with pytest.raises(ZeroDivisionError):
        await pools.run("decode", lambda: 1 / 0, stages)
    assert stages.seconds == {}
    pools.close()
