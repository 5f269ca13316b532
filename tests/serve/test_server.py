"""The processes of a service: signals, kills, limits of heads and connections, metrics over all of them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from serve.server import _forget_dead_processes
from tests.search.small_bundle import Shop, damage, picture
from tests.serve.load import Load
from tests.serve.pipeline.test_decoding import encoded
from tests.serve.raw_http import END, PART, connection, form_head, head, read_response
from tests.serve.running import PATIENCE, ROOT, Running, command, gone, run, running, until
from tests.serve.samples import sample, samples

MIB = 1024 * 1024


def alive(url: str) -> bool:
    """Whether /livez answers in under a second, on a connection of its own."""
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/livez", timeout=1).status_code == 200
    return False


@pytest.fixture(scope="module")
def bundle(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundle, which a test damages for a while."""
    return Path(shutil.copytree(shop.root, tmp_path_factory.mktemp("server") / "bundle"))


@pytest.fixture(scope="module")
def pair(bundle: Path) -> Iterator[Running]:
    """Two processes. The last test that uses it kills the parent."""
    with running(["--bundle", str(bundle), "--processes", "2", "--root-path", "/shop"]) as started:
        assert len(started.workers()) == 2
        yield started


def test_metrics_are_sums_over_the_processes(pair):
    path = "/v1/bundle"
    served = 16
    for _ in range(served):  # Each on a connection of its own, which the kernel deals out.
        assert httpx.get(f"{pair.url}{path}").status_code == 200
    for _ in range(6):
        with httpx.Client(base_url=pair.url) as client:
            assert sample(client, "lookalike_requests_total", endpoint=path, status="200") == served
    assert sample(pair.client, "lookalike_request_seconds_count", endpoint=path) == served
    assert sample(pair.client, "lookalike_breaker_state", dependency="index") == 0
    bundle_id = pair.client.get(path).json()["bundle_id"]
    assert sample(pair.client, "lookalike_bundle_images", bundle_id=bundle_id) in (120, 240)
    assert not [name for name, _ in samples(pair.client) if name.startswith("process_")]
    assert not [labels for _, labels in samples(pair.client) if "pid" in dict(labels)]


def test_killed_worker_is_started_again_and_the_other_goes_on(pair, shop):
    before = pair.workers()
    with Load(pair, shop) as load:
        load.wait_for(20)
        os.kill(before[0], signal.SIGKILL)
        load.wait_for(20)
        until(lambda: len(pair.workers()) == 2 and before[0] not in pair.workers(), "it was not started again")
        load.wait_for(20)
    assert {response.status_code for response in load.answers} == {200}
    # Each connection has one request in flight: no more than those of the killed process can be lost.
    assert len(load.lost) <= 3
    until(lambda: sample(pair.client, "lookalike_searches_in_flight") == 0, "its searches are still counted")


def test_hangup_restarts_the_workers_without_a_failed_request(pair, shop):
    before = set(pair.workers())
    with Load(pair, shop) as load:
        load.wait_for(20)
        pair.process.send_signal(signal.SIGHUP)
        until(lambda: len(pair.workers()) == 2 and not before & set(pair.workers()), "they were not restarted")
        load.wait_for(40)
    assert {response.status_code for response in load.answers} == {200}
    assert load.lost == []


def test_hangup_with_a_bundle_that_cannot_serve_leaves_the_workers_as_they_are(pair, bundle, shop):
    before = set(pair.workers())
    shutil.copytree(bundle, bundle.with_name("damaged"))
    damage(bundle.with_name("damaged"), "index.faiss")
    bundle.rename(bundle.with_name("good"))
    bundle.with_name("damaged").rename(bundle)
    with Load(pair, shop) as load:
        pair.process.send_signal(signal.SIGHUP)
        until(lambda: len(pair.workers()) == 3, "no new worker was started")
        until(lambda: set(pair.workers()) == before, "the old workers are gone")
        load.wait_for(20)
    assert {response.status_code for response in load.answers} == {200}
    assert load.lost == []
    bundle.rename(bundle.with_name("damaged"))
    bundle.with_name("good").rename(bundle)
    pair.process.send_signal(signal.SIGHUP)
    until(lambda: len(pair.workers()) == 2 and not before & set(pair.workers()), "they were not restarted")


def test_paths_have_the_prefix_that_a_proxy_strips(pair, shop):
    (row, *_) = pair.client.post("/v1/search", files={"image": ("p", shop.pictures[0])}).json()["results"]
    assert row["thumbnail"].startswith("/shop/v1/images/")
    for path in (row["thumbnail"], row["thumbnail"].removeprefix("/shop")):
        assert pair.client.get(path).content == shop.pictures[0]


def test_workers_end_with_a_parent_that_was_killed(pair):
    workers = pair.workers()
    os.kill(pair.process.pid, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in workers), "the workers outlive their parent")


def test_gauges_of_processes_that_have_ended_are_dropped(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    kinds = ("gauge_livesum", "gauge_livemax", "counter")
    for kind in kinds:
        for pid in (ended.pid, os.getpid()):
            (tmp_path / f"{kind}_{pid}.db").write_bytes(b"")
    _forget_dead_processes(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"counter_{ended.pid}.db", *(f"{kind}_{os.getpid()}.db" for kind in kinds)}


def test_endless_head_is_refused_and_takes_no_memory(service):
    before = service.memory()
    with connection(service.url) as opened:
        opened.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Endless: ")
        started, sent, answer = time.monotonic(), 0, b""
        with suppress(ConnectionError):
            while sent < 8 * MIB:
                opened.sendall(b"x" * 65536)
                sent += 65536
                assert alive(service.url)
        with suppress(ConnectionError):
            answer = opened.recv(65536)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
        assert time.monotonic() - started < PATIENCE / 2
    assert service.memory() - before < 32 * MIB
    assert alive(service.url)


def test_head_of_many_fields_is_refused(service):
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(5000))
    with connection(service.url) as opened:
        with suppress(ConnectionError):
            opened.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
        answer = b""
        with suppress(ConnectionError):
            answer = opened.recv(65536)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert alive(service.url)


@pytest.fixture(scope="module")
def hasty(shop: Shop) -> Iterator[Running]:
    """A process with a second for each head, and 300 file descriptors."""
    limited = ["/bin/sh", "-c", 'ulimit -n 300; exec "$@"', "sh"]
    with running(["--bundle", str(shop.root), "--head-seconds", "1"], wrapper=limited) as started:
        yield started
        code, errors = started.stop()
        assert code == 0, errors


def test_connections_without_a_request_are_closed_and_hold_no_file_descriptor(hasty):
    with ExitStack() as stack:
        for number in range(320):
            opened = stack.enter_context(connection(hasty.url))
            opened.sendall(b"" if number % 2 else b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Le")
        until(lambda: alive(hasty.url), "/livez does not answer", seconds=15)
        until(lambda: _open_files(hasty) < 150, "connections stay open", seconds=15)
        photo = {"image": ("p", picture(1))}
        assert httpx.post(f"{hasty.url}/v1/search", files=photo, timeout=PATIENCE).status_code == 200


def _open_files(started: Running) -> int:
    (worker,) = started.workers()
    return len(list(Path(f"/proc/{worker}/fd").iterdir()))


def test_idle_connection_is_closed_after_its_time_and_a_busy_one_stays(hasty):
    photo = PART + picture(1) + END
    with connection(hasty.url) as idle, connection(hasty.url) as slow:
        idle.sendall(head("GET", "/livez"))
        assert read_response(idle).status_code == 200
        slow.sendall(form_head(len(photo)) + photo[:100])  # A body may take longer than a head.
        assert idle.recv(1) == b"", "it is closed"
        slow.settimeout(1)
        with pytest.raises(TimeoutError):
            slow.recv(1)
        slow.settimeout(PATIENCE)
        slow.sendall(photo[100:])
        assert read_response(slow).status_code == 200


def test_running_searches_are_answered_before_the_end(shop):
    body = PART + picture(1) + END
    large = encoded(8000, 8000, "WEBP", quality=10, method=0)
    with running(["--bundle", str(shop.root)]) as started:
        with connection(started.url) as arriving, connection(started.url) as decoding:
            arriving.sendall(form_head(len(body)) + body[:50])
            whole = PART + large + END
            decoding.sendall(form_head(len(whole)) + whole)
            until(lambda: sample(started.client, "lookalike_searches_in_flight") == 1)
            until(lambda: sample(started.client, "lookalike_upload_bytes") == 50)
            started.process.send_signal(signal.SIGTERM)
            until(lambda: _refused(started), "new connections are still accepted")
            arriving.sendall(body[50:])
            assert read_response(arriving).status_code == 200
            assert read_response(decoding).status_code in (200, 504)
        _, errors = started.process.communicate(timeout=PATIENCE)
        assert started.process.returncode == 0, errors
        assert "Traceback" not in errors


def _refused(started: Running) -> bool:
    url = httpx.URL(started.url)
    try:
        socket.create_connection((url.host, url.port), timeout=PATIENCE).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_it_loads_ends_it_with_0(shop, number):
    """Also SIGINT from a terminal, which goes to all processes."""
    with subprocess.Popen(
        command("--bundle", str(shop.root), "--port", "0"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        started = Running(process, "")
        until(lambda: bool(started.workers()))
        sent = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        output, errors = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - sent < 15, "it waits for --drain-seconds"
        assert (process.returncode, output) == (0, b""), errors
        assert b"Traceback" not in errors


def test_worker_takes_the_first_of_several_signals():
    """A bundle is loading, so nothing takes the signals yet: Granian's own handler waits for ever in the second."""
    script = """
import asyncio, os, signal
from granian._loops import loops
from serve.workers import stop_on_first_signal

stop_on_first_signal()
from granian._signals import set_loop_signals
loop = loops.get("uvloop")
set_loop_signals(loop)

async def several():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.01)

loop.run_until_complete(several())
print("goes on")
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert result.stdout == "goes on\n", result.stderr


def test_signal_to_a_worker_that_was_just_forked_is_not_lost():
    """SIGTERM comes while the child still has its parent's handlers."""
    script = """
import os, signal
from serve.server import _reset_signals_in_forks

signal.signal(signal.SIGTERM, lambda *_: None)
sent, send = os.pipe()
os.register_at_fork(after_in_child=lambda: os.read(sent, 1))
_reset_signals_in_forks()
child = os.fork()
if not child:
    os._exit(0)
os.kill(child, signal.SIGTERM)
os.write(send, b"!")
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert result.stdout == f"{-signal.SIGTERM} set()\n", result.stderr


def test_second_service_on_the_same_port_is_refused(service, shop):
    result = run("--bundle", str(shop.root), "--port", service.url.rpartition(":")[2])
    assert result.returncode == 2, result.stderr
    assert "in use" in result.stderr


def test_worker_whose_bundle_has_disappeared_ends_the_service_with_2(copied):
    with running(["--bundle", str(copied)]) as started:
        (worker,) = started.workers()
        shutil.rmtree(copied)
        assert started.client.get("/readyz").status_code == 200, "open files stay readable"
        os.kill(worker, signal.SIGKILL)
        _, errors = started.process.communicate(timeout=PATIENCE)
        assert started.process.returncode == 2, errors
        assert f"serve: bundle {copied}" in errors or f"serve: no bundle at {copied}" in errors or str(copied) in errors
        assert "Traceback" not in errors
