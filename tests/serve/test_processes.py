"""Several processes on one port: a killed one, a new bundle, metrics, and the end."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from serve.access.keys import Role, new_key
from serve.observe.merged import merged
from tests.serve.rollout.test_rollout import Load

from tests.search.small_bundle import Shop, catalogue, damage, write_bundle
from tests.serve.running import PATIENCE, Running, run, running

ADMIN, LINE = new_key("ops", Role.ADMIN)
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shop]:
    folder = tmp_path_factory.mktemp("processes") / "bundles"
    return {name: write_bundle(folder / name, catalogue(40, seed=seed)) for name, seed in (("one", 1), ("two", 2))}


@pytest.fixture
def started(bundles: dict[str, Shop]) -> Iterator[Running]:
    root = bundles["one"].root
    arguments = ["--bundle", str(root), "--bundles", str(root.parent), "--processes", "2", "--encoder-threads", "1"]
    with running(arguments, environment={"LOOKALIKE_KEYS": LINE.line()}) as started:
        yield started


def workers(started: Running) -> list[int]:
    path = Path(f"/proc/{started.process.pid}/task/{started.process.pid}/children")
    return [int(number) for number in path.read_text().split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def measured(started: Running) -> set[str]:
    """The workers that answer."""
    return set(re.findall(r'process_start_time_seconds\{worker="(\d)"\}', httpx.get(f"{started.url}/metrics").text))


def asked(started: Running, endpoint: str) -> set[str]:
    """The workers that have answered at an endpoint."""
    return set(
        re.findall(
            rf'lookalike_requests_total\{{endpoint="{endpoint}",status="200",worker="(\d)"\}}',
            httpx.get(f"{started.url}/metrics").text,
        )
    )


def test_killed_worker_is_started_again_and_the_others_go_on(started, bundles):
    before = workers(started)
    assert len(before) == 2
    assert measured(started) == {"0", "1"}
    for _ in range(32):
        httpx.get(f"{started.url}/livez")  # Each on a connection of its own, which the kernel deals out.
    assert asked(started, "/livez") == {"0", "1"}
    with Load(started, bundles["one"], lenient=True) as load:
        load.wait_for(20)
        os.kill(before[0], signal.SIGKILL)
        load.wait_for(20)
        until(lambda: len(workers(started)) == 2 and before[0] not in workers(started), "not started again")
        until(lambda: measured(started) == {"0", "1"}, "the new worker is not measured")
        load.wait_for(20)
    assert {response.status_code for response in load.answers} == {200}
    # Each connection has one request in flight: no more than the killed worker's own can be lost.
    assert len(load.lost) <= 3
    now = workers(started)
    code, errors = started.stop()
    assert code == 0, errors
    assert "starts again" in errors
    assert all(gone(pid) for pid in now)


def test_new_bundle_and_the_way_back_reach_all_workers_and_those_that_start_later(started):
    taken = httpx.post(f"{started.url}/v1/admin/bundle", json={"path": "two"}, headers=HEADERS, timeout=PATIENCE)
    assert taken.status_code == 200, taken.text
    body = taken.json()
    assert body["workers"] == 2

    def served() -> set[str]:
        # Each call opens a connection of its own, which any of the workers takes.
        return {httpx.get(f"{started.url}/v1/bundle").json()["bundle_id"] for _ in range(20)}

    assert served() == {body["bundle_id"]}
    killed = workers(started)[1]
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(measured(started)) == 2 and killed not in workers(started), "not started again")
    assert served() == {body["bundle_id"]}
    assert started.stop()[0] == 0


def test_workers_end_with_a_parent_that_was_killed(started):
    left = workers(started)
    os.kill(started.process.pid, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in left), "workers outlive their parent")


def test_what_cannot_serve_is_said_once(bundles, tmp_path):
    damaged = Path(shutil.copytree(bundles["one"].root, tmp_path / "damaged"))
    damage(damaged, "index.faiss")
    result = run("--bundle", str(damaged), "--port", "0", "--processes", "3")
    assert result.returncode == 2
    assert result.stderr.count("index.faiss") == 1
    assert "Traceback" not in result.stderr


def test_one_process_writes(bundles, tmp_path):
    result = run("--bundle", str(bundles["one"].root), "--processes", "2", "--state", str(tmp_path / "state"))
    assert result.returncode == 2
    assert "--processes 2" in result.stderr


def test_merged_metrics_keep_each_workers_samples():
    text = '# HELP a_total Things.\n# TYPE a_total counter\na_total{kind="x"} %d\n'
    told = merged({1: text % 2, 0: text % 1}).decode()
    assert 'a_total{kind="x",worker="0"} 1.0' in told
    assert 'a_total{kind="x",worker="1"} 2.0' in told
    assert told.count("# TYPE") == 1
