"""Another bundle in the place of the one that answers: in processes of their own, under load."""

import asyncio
import os
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from serve.access.keys import Role, new_key
from serve.rollout.checks import check_finds
from serve.rollout.rollout import BusyError

from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.errors import GateError
from tests.search.small_bundle import Shop, catalogue, damage, write_bundle
from tests.serve.running import PATIENCE, Running, running

ADMIN, LINE = new_key("ops", Role.ADMIN)
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shop]:
    """Two bundles with other items, in one folder."""
    folder = tmp_path_factory.mktemp("rollout") / "bundles"
    shops = {name: write_bundle(folder / name, catalogue(40, seed=seed)) for name, seed in (("one", 1), ("two", 2))}
    damaged = Path(shutil.copytree(folder / "two", folder / "damaged"))
    damage(damaged, "index.faiss")
    return shops


@contextmanager
def serving(bundles: dict[str, Shop], path: Path | None = None) -> Iterator[Running]:
    folder = bundles["one"].root.parent
    arguments = ["--bundle", str(path or folder / "one"), "--bundles", str(folder)]
    with running(arguments, environment={"LOOKALIKE_KEYS": LINE.line()}) as started:
        yield started


def roll_out(started: Running, path: str) -> httpx.Response:
    return httpx.post(f"{started.url}/v1/admin/bundle", json={"path": path}, headers=HEADERS, timeout=PATIENCE)


def bundle_id(started: Running) -> str:
    return str(httpx.get(f"{started.url}/v1/bundle").json()["bundle_id"])


class Load:
    """Searches on several connections, one after the other, until the block ends."""

    def __init__(self, started: Running, shop: Shop, *, lenient: bool = False) -> None:
        self.answers: list[httpx.Response] = []
        self.lost: list[httpx.TransportError] = []
        self._lenient = lenient
        self._url, self._picture = f"{started.url}/v1/search?k=3", shop.pictures[0]
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def _ask(self) -> None:
        with httpx.Client(timeout=PATIENCE) as client:
            while not self._ended.is_set():
                try:
                    self.answers.append(client.post(self._url, files={"image": ("p.jpg", self._picture)}))
                except httpx.TransportError as error:
                    if not self._lenient:
                        raise
                    self.lost.append(error)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        wanted, deadline = len(self.answers) + more, time.monotonic() + PATIENCE
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, "searches are not answered"
            time.sleep(0.005)


def test_swap_and_rollback_under_load_fail_no_request_and_mix_no_answers(bundles):
    with serving(bundles) as started:
        first = bundle_id(started)
        with Load(started, bundles["one"]) as load:
            load.wait_for(20)
            taken = roll_out(started, "two").json()
            load.wait_for(20)
            back = httpx.post(f"{started.url}/v1/admin/bundle/rollback", headers=HEADERS, timeout=PATIENCE).json()
            load.wait_for(20)
        second = taken["bundle_id"]
        assert taken["previous"] == first != second
        assert "find their own item" in taken["checks"]
        assert (back["bundle_id"], back["previous"]) == (first, second)
        answers = {response.text for response in load.answers}
        assert {response.status_code for response in load.answers} == {200}, answers
        found = {}
        for response in load.answers:
            body = response.json()
            found.setdefault(body["bundle_id"], set()).add(tuple(row["image_id"] for row in body["results"]))
        assert found.keys() == {first, second}
        assert all(len(results) == 1 for results in found.values()), "an answer mixes two bundles"
        metrics = httpx.get(f"{started.url}/metrics").text
        assert 'lookalike_rollouts_total{result="taken"} 2.0' in metrics
        assert f'lookalike_bundle_images{{bundle_id="{first}"}}' in metrics
        assert f'lookalike_bundle_images{{bundle_id="{second}"}}' not in metrics
        assert started.stop()[0] == 0


def test_what_cannot_serve_leaves_the_old_one_and_says_why(bundles):
    with serving(bundles) as started:
        first = bundle_id(started)
        refused = roll_out(started, "damaged")
        assert refused.status_code == 422
        assert refused.json()["type"] == "urn:lookalike:problem:bundle-refused"
        assert "index.faiss" in refused.json()["detail"]
        state = httpx.get(f"{started.url}/v1/admin/bundle", headers=HEADERS).json()
        assert state["bundle_id"] == first == bundle_id(started)
        assert (state["running"], state["previous"]) == (False, None)
        assert "index.faiss" in state["problem"]
        assert state["bundles"] == ["damaged", "one", "two"]
        code, errors = started.stop()
        assert code == 0
        assert "damaged: failed" in errors
        assert "Traceback" not in errors


def test_hangup_opens_the_link_again(bundles, tmp_path):
    link = tmp_path / "current"
    link.symlink_to(bundles["one"].root)
    with serving(bundles, link) as started:
        first = bundle_id(started)
        (tmp_path / "next").symlink_to(bundles["two"].root)
        os.replace(tmp_path / "next", link)
        started.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while bundle_id(started) == first:
            assert time.monotonic() < deadline, "the link was not opened again"
        assert httpx.post(f"{started.url}/v1/admin/bundle/rollback", headers=HEADERS).json()["bundle_id"] == first
        assert started.stop()[0] == 0


@pytest.fixture(scope="module")
def client(bundles: dict[str, Shop]) -> Iterator[TestClient]:
    folder = bundles["one"].root.parent
    settings = ServeSettings(bundles=folder, keys=LINE.line())
    with TestClient(create_app(folder / "one", settings), headers=HEADERS) as client:
        yield client


@pytest.mark.parametrize("path", ["../one", "/etc", "a/b", ".hidden", "..", "", "one\n", "one\x00", "x" * 101])
def test_nothing_but_a_name_is_taken(client, path):
    response = client.post("/v1/admin/bundle", json={"path": path})
    assert response.status_code == 422
    assert response.json()["type"] == "urn:lookalike:problem:invalid-request"


def test_unknown_name_is_404_and_the_same_bundle_changes_nothing(client):
    response = client.post("/v1/admin/bundle", json={"path": "three"})
    assert response.status_code == 404
    assert "there are: damaged, one, two" in response.json()["detail"]
    assert client.post("/v1/admin/bundle/rollback").status_code == 422
    same = client.post("/v1/admin/bundle", json={"path": "one"}).json()
    assert same["bundle_id"] == same["previous"]
    assert client.get("/v1/admin/bundle").json()["previous"] is None


def test_one_rollout_at_a_time(client):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/admin/bundle", json={"path": "two"})))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = sorted(response.status_code for response in answers)
    assert codes[0] == 200
    assert set(codes) <= {200, 409}
    assert any(code == 409 for code in codes)
    assert client.get("/v1/admin/bundle").json()["running"] is False


@pytest.mark.parametrize("live", [False, True])
def test_replaced_bundle_is_gone_before_memory_is_given_back(bundles, live, tmp_path, monkeypatch):
    root = bundles["one"].root
    settings = ServeSettings(bundles=root.parent, state=tmp_path / "state" if live else None, keys=LINE.line())
    found: list[object] = []
    with TestClient(create_app(root, settings), headers=HEADERS) as client:
        for name in ("two", "one"):
            with client.app.state.service.current.hold() as opened:
                encoder = weakref.ref(opened.engine.encoder)
            del opened
            monkeypatch.setattr("serve.rollout.rollout.give_back", lambda gone=encoder: found.append(gone()))
            assert client.post("/v1/search", files={"image": ("p.jpg", bundles[name].pictures[0])}).status_code == 200
            assert client.post("/v1/admin/bundle", json={"path": name}).status_code == 200
    assert found == [None, None]


def test_without_a_folder_of_bundles_none_is_opened(shop):
    with TestClient(create_app(shop.root, ServeSettings(keys=LINE.line())), headers=HEADERS) as client:
        response = client.post("/v1/admin/bundle", json={"path": "one"})
        assert response.status_code == 403
        assert "--bundles" in response.json()["detail"]


def test_an_encoder_of_another_index_finds_nothing_of_its_own(client, shop):
    with client.app.state.service.current.hold() as opened:
        engine = opened.engine
        assert "find their own item" in check_finds(engine)
        rng = np.random.default_rng(0)
        turned = np.linalg.qr(rng.normal(size=(48, 48)))[0].astype(np.float32)
        embed = engine.embed
        engine.embed = lambda pixels: embed(pixels) @ turned
        try:
            with pytest.raises(GateError, match="do not belong together"):
                check_finds(engine)
        finally:
            del engine.embed


def test_an_index_that_finds_too_little_is_refused(client):
    with client.app.state.service.current.hold() as opened:
        engine, index = opened.engine, opened.engine.index
        search = index.search

        def own_only(queries, k, allowed=None):
            scores, rows = search(queries, k, allowed)
            scores[:, 1:], rows[:, 1:] = -np.inf, -1
            return scores, rows

        index.search = own_only
        try:
            with pytest.raises(GateError, match="recall@10"):
                check_finds(engine)
        finally:
            del index.search


def test_service_that_stops_ends_its_rollout_first_and_begins_none(bundles):
    folder = bundles["one"].root.parent
    loading, go_on = threading.Event(), threading.Event()

    def slow(*arguments: object) -> None:
        loading.set()
        assert go_on.wait(PATIENCE)
        raise GateError("finds too little")

    async def life() -> None:
        app = create_app(folder / "one", ServeSettings())
        rollout = None
        async with app.router.lifespan_context(app):
            rollout = app.state.service.rollout
            rollout._open = slow
            asked = asyncio.create_task(rollout.to(folder / "two"))
            await asyncio.to_thread(loading.wait, PATIENCE)
            asyncio.get_running_loop().call_later(0.1, go_on.set)
        assert rollout.problem == "finds too little", "the service was closed under it"
        with pytest.raises(GateError):
            await asked
        with pytest.raises(BusyError, match="stopping"):
            await rollout.to(folder / "two")

    asyncio.run(life())
