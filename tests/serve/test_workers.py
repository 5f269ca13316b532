"""How worker processes end."""

import multiprocessing
import signal
import time
from types import SimpleNamespace

import pytest

from serve.workers import RollingServer


def stopped(monkeypatch: pytest.MonkeyPatch, *, obeys: bool, timeout: int) -> list[str]:
    """What is done to a worker whose exit status another thread has taken."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()

    def work() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if obeys else signal.SIG_IGN)
        ready.set()
        time.sleep(60)

    process = context.Process(target=work)
    process.start()
    ready.wait()
    done: list[str] = []
    worker = SimpleNamespace(
        inner=process,
        terminate=process.terminate,
        is_alive=lambda: True,
        kill=lambda: (done.append("killed"), process.kill()),
        join=lambda timeout=None: None,
    )
    server = RollingServer.__new__(RollingServer)
    server.workers_kill_timeout, server.wrks = timeout, [worker]
    monkeypatch.setattr("serve.workers._log.warning", lambda *given: done.append(given[0] % given[1:]))
    server._stop_workers()
    process.join()
    assert server.wrks == []
    return done


def test_a_process_that_has_ended_is_not_said_to_refuse(monkeypatch):
    assert stopped(monkeypatch, obeys=True, timeout=60) == []


def test_a_process_that_does_not_end_is_killed(monkeypatch):
    said, killed = stopped(monkeypatch, obeys=False, timeout=1)
    assert (said, killed) == ("a process did not end within 1 s of SIGTERM: killed", "killed")
