import threading

import pytest

from serve.store.threads import DaemonThreads


def test_results_errors_and_cancelled_work():
    pool = DaemonThreads(threads=1, name="pool")
    gate, started, ran = threading.Event(), threading.Event(), []

    def held() -> int:
        started.set()
        gate.wait(30)
        return 7

    first = pool.submit(held)
    second = pool.submit(lambda: ran.append("cancelled"))
    third = pool.submit(lambda: 1 / 0)
    assert started.wait(30)
    assert second.cancel()
    gate.set()
    assert first.result(30) == 7
    with pytest.raises(ZeroDivisionError):
        third.result(30)
    assert ran == []
    pool.close()


def test_threads_end_when_closed_and_are_daemons():
    pool = DaemonThreads(threads=3, name="pool-that-ends")
    assert pool.submit(lambda: 1).result(30) == 1
    mine = [thread for thread in threading.enumerate() if thread.name == "pool-that-ends"]
    assert len(mine) == 3
    assert all(thread.daemon for thread in mine)
    pool.close()
    for thread in mine:
        thread.join(30)
        assert not thread.is_alive()
