"""Two services over one real Milvus: what one is told, the other shows; and Milvus may die meanwhile."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient

from benchmarks.milvus.server import MilvusServer, unavailable
from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.errors import LookalikeError
from tests.search.shared_bundle import new_name, share
from tests.search.small_bundle import Shop, picture
from tests.serve.running import AUTHORIZED, TOKEN, Running, running, until
from tests.serve.servers import postgres_server

ITEM = quote("sku/004 ö", safe="")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """One of its own: it is killed."""
    if reason := unavailable():
        pytest.skip(reason)
    server = MilvusServer(tmp_path_factory.mktemp("milvus") / "server", quick=True)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def bundle(shop: Shop, server: MilvusServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return share(shop, tmp_path_factory.mktemp("shared") / "bundle", server.uri, new_name())


@pytest.fixture(scope="module")
def replicas(bundle: Path, server: MilvusServer) -> Iterator[tuple[Running, Running]]:
    """Two services that share Milvus and PostgreSQL."""
    options = ["--bundle", str(bundle), "--milvus-uri", server.uri, "--deadline-seconds", "4", "--cache-mib", "0"]
    with postgres_server() as postgres:
        environment = {"LOOKALIKE_TOKEN": TOKEN, "LOOKALIKE_CHANGES_URL": postgres.url}
        with running(options, environment=environment) as one, running(options, environment=environment) as other:
            yield one, other
            for service in (one, other):
                code, errors = service.stop()
                assert code == 0, errors
                assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def replica(replicas: tuple[Running, Running]) -> Running:
    return replicas[0]


def ask(service: Running, photo: bytes, **parameters: object) -> dict:
    answer = service.client.post("/v1/search", params=parameters, files={"image": photo})
    assert answer.status_code == 200, answer.text
    return answer.json()


def same(found: dict, expected: dict) -> None:
    """Equal results; in any order where scores are equal."""
    assert found["rung"] == expected["rung"]
    for one, other in zip(found["results"], expected["results"], strict=True):
        if other["score"] is None:
            assert one == other
            continue
        assert one["score"] == pytest.approx(other["score"], abs=2e-6)
        if [round(each["score"], 5) for each in expected["results"]].count(round(other["score"], 5)) == 1:
            assert {**one, "score": 0} == {**other, "score": 0}


@pytest.mark.parametrize(
    "parameters",
    [
        {"k": 30},
        {"k": 5, "offset": 3, "dedupe": "parent", "in_stock": "true"},
        {"k": 10, "category": "shoes", "price_max": 120, "box": "0.1,0.1,0.6,0.8", "read_after": 1},
        {"k": 10, "filter": "stars:2..4", "brand": "acme", "box": "auto"},
        {"k": 10, "filter": 'title:x" or image_id != "'},
    ],
)
def test_a_search_is_answered_as_by_a_service_over_the_bundles_own_index(
    client: TestClient, replica: Running, parameters: dict
) -> None:
    for seed in (1, 1004, 2077):
        expected = client.post("/v1/search", params=parameters, files={"image": picture(seed)})
        same(ask(replica, picture(seed), **parameters), expected.json())


def test_the_other_routes_answer_alike(client: TestClient, replica: Running) -> None:
    for path in (
        f"/v1/items/{ITEM}/similar?k=7&dedupe=parent&price_min=20",
        "/v1/items/unknown/similar",
        "/v1/search/text?q=nord+sea&in_stock=true",
        "/v1/search/text?q=x&filter=weight:2",
    ):
        found, expected = replica.client.get(path), client.get(path)
        assert found.status_code == expected.status_code
        if found.status_code == 200:
            same(found.json(), expected.json())
        else:
            assert found.json()["detail"] == expected.json()["detail"]
    image = client.get(f"/v1/items/{ITEM}/similar").json()["results"][0]["thumbnail"]
    assert replica.client.get(image).content == client.get(image).content
    found, expected = replica.client.get("/v1/bundle").json(), client.get("/v1/bundle").json()
    assert found["index"]["backend"] == "milvus"
    for name in ("encoder_id", "filters", "columns", "price", "images", "items", "dim"):
        assert found[name] == expected[name]
    assert [row["item_id"] for row in found["examples"]] == [row["item_id"] for row in expected["examples"]]


def test_a_bundle_in_milvus_needs_its_address_and_no_state(bundle: Path, server: MilvusServer, tmp_path: Path) -> None:
    state = ServeSettings(milvus_uri=server.uri, state=tmp_path / "state")
    away = ServeSettings(milvus_uri="http://127.0.0.1:1", deadline_seconds=2)
    for settings, message in (
        (away, "Milvus at http://127.0.0.1:1: connect"),
        (ServeSettings(), r"the Milvus collection `serving_.*`; name the server with --milvus-uri"),
        (state, "--state: a bundle whose vectors are in Milvus has its changes there"),
    ):
        with pytest.raises(LookalikeError, match=message), TestClient(create_app(bundle, settings)):
            pass


def put(service: Running, name: str, photo: bytes, **more: object) -> httpx.Response:
    return service.client.put(f"/v1/items/{name}", params=more, files={"image": photo}, headers=AUTHORIZED)


def delete(service: Running, name: str) -> dict:
    answer = service.client.delete(f"/v1/items/{name}", headers=AUTHORIZED)
    assert answer.status_code == 200, answer.text
    return answer.json()


def first(service: Running, photo: bytes, **more: object) -> str:
    return ask(service, photo, k=1, **more)["results"][0]["item_id"]


def test_what_one_replica_is_told_the_other_shows(replicas: tuple[Running, Running]) -> None:
    one, other = replicas
    photo = picture(9001)
    answer = put(one, "new", photo)
    assert answer.status_code == 200, answer.text
    written = answer.json()
    assert (written["visible"], len(written["image_ids"])) == (True, 1)
    found = ask(other, photo, k=1, read_after=written["version"])["results"][0]
    assert (found["item_id"], found["price"]) == ("new", None)
    assert other.client.get(found["thumbnail"]).content == one.client.get(found["thumbnail"]).content
    until(lambda: first(one, photo) == first(other, photo) == "new", "never seen by a Bounded search")
    patched = other.client.patch("/v1/items/new", json={"price": 3.5}, headers=AUTHORIZED).json()
    assert patched["version"] > written["version"]
    assert ask(one, photo, k=1, price_max=4, read_after=patched["version"])["results"][0]["price"] == 3.5
    gone = delete(other, "new")
    for service in replicas:
        assert first(service, photo, read_after=gone["version"]) != "new"
    # A retry that was on its way for long.
    assert put(one, "new", photo, version=written["version"]).status_code == 200
    until(lambda: first(other, photo) != "new", "never gone for a Bounded search")
    for service in replicas:
        assert first(service, photo, read_after=gone["version"]) != "new"
        assert service.client.get("/v1/items/new/similar", params={"read_after": gone["version"]}).status_code == 404
    assert one.client.patch("/v1/items/new", json={"price": 1}, headers=AUTHORIZED).status_code == 404
    version = one.client.post("/v1/items", headers=AUTHORIZED).json()["version"]
    assert version > gone["version"]


def test_a_milvus_that_hangs_costs_no_request_its_answer(replica: Running, server: MilvusServer) -> None:
    pids = server.tree.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda seed: ask(replica, picture(seed), k=5), range(8)))
        assert {answer["rung"] for answer in answers} == {"trending"}
        assert all(answer["results"] for answer in answers)
        began = time.monotonic()
        assert ask(replica, picture(1), k=5)["rung"] == "trending"
        # A call of Milvus would take two seconds.
        assert time.monotonic() - began < 1.5
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until(lambda: ask(replica, picture(1), k=5)["rung"] == "search", "Milvus answered again, and was not asked")


def test_a_killed_milvus_costs_scores_and_comes_back_without_a_restart(
    replicas: tuple[Running, Running], server: MilvusServer
) -> None:
    replica, other = replicas
    before = ask(replica, picture(1), k=5)
    assert before["rung"] == "search"
    server.kill()
    for _ in range(8):
        answer = ask(replica, picture(1), k=5, q="brulee bowl", in_stock="true")
        assert answer["rung"] == "text"
        assert answer["results"]
        assert all(row["in_stock"] and row["score"] is None for row in answer["results"])
    assert ask(replica, picture(1), k=5)["rung"] == "trending"
    assert replica.client.get(f"/v1/items/{ITEM}/similar").json()["rung"] == "trending"
    assert replica.client.get("/readyz").status_code == 200
    assert 'breaker_state{dependency="index"} 2.0' in replica.client.get("/metrics").text
    gone = quote("sku/000 ö", safe="")
    answer = replica.client.delete(f"/v1/items/{gone}", headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["visible"]) == (202, False)
    for service in replicas:
        listed = ask(service, picture(1), k=60, q="brulee bowl")
        assert (listed["rung"], len(listed["results"])) == ("text", 14)
        assert "sku/000 ö" not in [row["item_id"] for row in listed["results"]]
    assert put(other, "late", picture(9002)).json()["visible"] is False
    until(lambda: "lookalike_changes_pending 2.0" in other.client.get("/metrics").text)
    server.start()
    until(lambda: ask(replica, picture(1), k=5)["rung"] == "search", "Milvus was back, and was not asked")
    same(ask(replica, picture(1), k=5), before)
    for service in replicas:
        until(lambda: first(service, picture(9002)) == "late", "a change waits for ever")  # noqa: B023
        until(lambda: "lookalike_changes_pending 0.0" in service.client.get("/metrics").text)  # noqa: B023
        until(lambda: service.client.get(f"/v1/items/{gone}/similar").status_code == 404)  # noqa: B023
