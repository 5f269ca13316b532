"""Another bundle in the place of the one that answers, under load."""

import asyncio
import threading
import weakref
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from serve.app import create_app
from serve.breaker import BreakerState
from serve.bundle import rollout as module
from serve.bundle.rollout import BusyError, Rollout
from serve.settings import ServeSettings
from src.contracts.errors import BundleError, GateError
from tests.search.small_bundle import Shop, catalogue, write_bundle
from tests.serve.load import Load
from tests.serve.running import AUTHORIZED, PATIENCE, TOKEN, running
from tests.serve.samples import sample


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shop]:
    """Two bundles with other items, in one folder."""
    folder = tmp_path_factory.mktemp("rollout") / "bundles"
    return {name: write_bundle(folder / name, catalogue(40, seed=seed)) for name, seed in (("one", 1), ("two", 2))}


@pytest.fixture
def client(bundles: dict[str, Shop]) -> Iterator[TestClient]:
    root = bundles["one"].root
    settings = ServeSettings(bundles=root.parent, token=SecretStr(TOKEN))
    with TestClient(create_app(root, settings), headers=AUTHORIZED) as client:
        yield client


def test_rollout_and_rollback_under_load_fail_no_request_and_mix_no_answers(bundles):
    root = bundles["one"].root
    arguments = ["--bundle", str(root), "--bundles", str(root.parent)]
    with running(arguments, environment={"LOOKALIKE_TOKEN": TOKEN}) as started:
        client = started.client
        first = client.get("/v1/bundle").json()["bundle_id"]
        with Load(started, bundles["one"]) as load:
            load.wait_for(20)
            taken = client.post("/v1/admin/bundle", json={"path": "two"}, headers=AUTHORIZED).json()
            load.wait_for(20)
            back = client.post("/v1/admin/bundle/rollback", headers=AUTHORIZED).json()
            load.wait_for(20)
        second = taken["bundle_id"]
        assert taken["previous"] == first != second
        assert (back["bundle_id"], back["previous"]) == (first, second)
        assert {response.status_code for response in load.answers} == {200}
        assert load.lost == []
        found: dict[str, set[tuple[str, ...]]] = {}
        for response in load.answers:
            body = response.json()
            found.setdefault(body["bundle_id"], set()).add(tuple(row["image_id"] for row in body["results"]))
        assert found.keys() == {first, second}
        assert all(len(results) == 1 for results in found.values()), "an answer mixes two bundles"
        assert sample(client, "lookalike_rollouts_total", result="taken") == 2
        metrics = client.get("/metrics").text
        assert f'lookalike_bundle_images{{bundle_id="{first}"}}' in metrics
        assert f'lookalike_bundle_images{{bundle_id="{second}"}}' not in metrics
        code, errors = started.stop()
        assert code == 0, errors
        assert "Traceback" not in errors


@pytest.mark.parametrize("live", [False, True])
def test_replaced_bundle_is_gone_before_memory_is_given_back(bundles, live, tmp_path, monkeypatch):
    root = bundles["one"].root
    state = tmp_path / "state" if live else None
    settings = ServeSettings(bundles=root.parent, state=state, token=SecretStr(TOKEN))
    found: list[object] = []
    with TestClient(create_app(root, settings), headers=AUTHORIZED) as client:
        for name in ("two", "one"):
            with client.app.state.service.current.hold() as opened:
                encoder = weakref.ref(opened.searcher.encoder)
            del opened
            monkeypatch.setattr(module, "give_back", lambda gone=encoder: found.append(gone()))
            assert client.post("/v1/search", files={"image": ("p.jpg", bundles[name].pictures[0])}).status_code == 200
            assert client.post("/v1/admin/bundle", json={"path": name}).status_code == 200
    assert found == [None, None]


def test_request_holds_its_bundle_to_its_end_and_the_new_one_answers_meanwhile(client, bundles):
    """The old bundle is closed after the last request that holds it."""
    service = client.app.state.service
    first = client.get("/v1/bundle").json()["bundle_id"]
    answered = threading.Event()

    async def scenario() -> None:
        with service.current.hold() as held:
            exchange = asyncio.create_task(service.rollout.to(bundles["two"].root))
            while service.rollout.source.bundle_id == first:
                await asyncio.sleep(0.005)
            assert held.pipeline.bundle_id == first
            assert held.pipeline.gallery().search(bundles["one"].vectors[0], 1)
            with service.current.hold() as other:
                second = other.pipeline.bundle_id
            assert second != first
            assert service.rollout.source.bundle_id == second
            assert (service.rollout.previous.bundle_id, service.rollout.running) == (first, True)
            assert not exchange.done()
            with pytest.raises(BusyError, match="under way"):
                await service.rollout.back()
        del held, other
        assert (await exchange).drain_seconds > 0
        answered.set()

    client.portal.call(scenario)
    assert answered.is_set()


def test_breakers_of_the_new_bundle_are_the_ones_that_are_shown(client, bundles):
    service = client.app.state.service
    with service.current.hold() as opened:
        opened.pipeline.breaker._become(BreakerState.OPEN)
        opened.pipeline.embedder.breaker._become(BreakerState.OPEN)
    del opened
    assert sample(client, "lookalike_breaker_state", dependency="index") == 2
    assert client.post("/v1/admin/bundle", json={"path": "two"}).status_code == 200
    for dependency in ("index", "encoder"):
        assert sample(client, "lookalike_breaker_state", dependency=dependency) == 0


def test_rollback_to_a_folder_that_holds_another_bundle_by_now_is_refused(bundles, tmp_path):
    root = tmp_path / "moving"
    write_bundle(root, catalogue(40, seed=3))
    settings = ServeSettings(bundles=bundles["two"].root.parent, token=SecretStr(TOKEN))
    with TestClient(create_app(root, settings), headers=AUTHORIZED) as client:
        assert client.post("/v1/admin/bundle", json={"path": "two"}).status_code == 200
        write_bundle(root, catalogue(40, seed=4))
        refused = client.post("/v1/admin/bundle/rollback")
        assert refused.status_code == 422
        assert "by now" in refused.json()["detail"]


def test_link_that_names_another_bundle_by_now_is_followed(bundles, tmp_path):
    folder = tmp_path / "bundles"
    folder.mkdir()
    (folder / "current").symlink_to(bundles["one"].root)
    settings = ServeSettings(bundles=folder, token=SecretStr(TOKEN))
    with TestClient(create_app(folder / "current", settings), headers=AUTHORIZED) as client:
        first = client.get("/v1/bundle").json()["bundle_id"]
        (folder / "next").symlink_to(bundles["two"].root)
        (folder / "next").rename(folder / "current")
        taken = client.post("/v1/admin/bundle", json={"path": "current"}).json()
        assert taken["bundle_id"] != taken["previous"] == first
        assert client.post("/v1/admin/bundle/rollback").json()["bundle_id"] == first


def test_caller_that_leaves_does_not_stop_the_exchange(client, bundles):
    service = client.app.state.service
    first = service.rollout.source.bundle_id

    async def scenario() -> None:
        caller = asyncio.create_task(service.rollout.to(bundles["two"].root))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        async with asyncio.timeout(PATIENCE):
            while service.rollout.running:
                await asyncio.sleep(0.005)
        assert service.rollout.source.bundle_id != first

    client.portal.call(scenario)


def test_service_that_stops_ends_its_rollout_first_and_begins_none(bundles):
    folder = bundles["one"].root.parent
    loading, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        loading.set()
        assert go_on.wait(PATIENCE)
        raise GateError("finds too little")

    async def life() -> None:
        app = create_app(folder / "one", ServeSettings())
        async with app.router.lifespan_context(app):
            rollout: Rollout = app.state.service.rollout
            rollout._open = slow
            started = asyncio.create_task(rollout.to(folder / "two"))
            await asyncio.to_thread(loading.wait, PATIENCE)
            asyncio.get_running_loop().call_later(0.1, go_on.set)
        assert rollout.problem == "finds too little", "the service was closed under it"
        with pytest.raises(GateError):
            await started
        with pytest.raises(BusyError, match="stopping"):
            await rollout.to(folder / "two")

    asyncio.run(life())


def test_folder_without_a_bundle_is_refused(client, tmp_path):
    with pytest.raises(BundleError):
        client.portal.call(client.app.state.service.rollout.to, tmp_path)
    assert str(tmp_path) in client.app.state.service.rollout.problem


def test_error_of_ours_is_logged_and_not_told(client, bundles, caplog):
    rollout = client.app.state.service.rollout

    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    rollout._open = broken
    with pytest.raises(RuntimeError):
        client.portal.call(rollout.to, bundles["two"].root)
    assert rollout.problem == "an error of the service; see its log"
    assert "secret detail" in caplog.text
    assert (rollout.running, rollout.previous) == (False, None)
