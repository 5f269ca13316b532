"""The admin API over two bundles and a damaged one; tests/serve/bundle has exchanges under load."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from serve.app import create_app
from serve.settings import ServeSettings
from tests.search.small_bundle import Shop, catalogue, damage, write_bundle
from tests.serve.problems import check_problem
from tests.serve.running import AUTHORIZED, TOKEN

BUNDLE = "/v1/admin/bundle"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("admin") / "bundles"
    for name, seed in (("one", 1), ("two", 2)):
        write_bundle(folder / name, catalogue(40, seed=seed))
    damage(Path(shutil.copytree(folder / "two", folder / "damaged")), "index.faiss")
    shutil.copytree(folder / "two", folder / ".hidden")
    (folder / "no bundle").mkdir()
    return folder


@pytest.fixture
def admin(bundles: Path) -> Iterator[TestClient]:
    settings = ServeSettings(bundles=bundles, token=SecretStr(TOKEN))
    with TestClient(create_app(bundles / "one", settings), headers=AUTHORIZED) as client:
        yield client


def test_state_names_what_there_is(admin, bundles):
    state = admin.get(BUNDLE).json()
    assert state == {
        "bundle_id": admin.get("/v1/bundle").json()["bundle_id"], "name": "one", "previous": None, "running": False,
        "problem": "", "bundles": ["damaged", "one", "two"], "last_change": None,
    }  # fmt: skip


def test_rollout_and_rollback(admin):
    first = admin.get(BUNDLE).json()["bundle_id"]
    taken = admin.post(BUNDLE, json={"path": "two"}).json()
    assert taken["previous"] == first != taken["bundle_id"]
    assert "find their own item" in taken["checks"]
    assert admin.get("/v1/bundle").json()["bundle_id"] == taken["bundle_id"]
    state = admin.get(BUNDLE).json()
    assert (state["name"], state["previous"]) == ("two", first)
    back = admin.post(f"{BUNDLE}/rollback").json()
    assert (back["bundle_id"], back["previous"]) == (first, taken["bundle_id"])
    same = admin.post(BUNDLE, json={"path": "one"}).json()
    assert same["bundle_id"] == same["previous"] == first


def test_bundle_that_cannot_serve_leaves_the_old_one_and_says_why(admin):
    first = admin.get(BUNDLE).json()["bundle_id"]
    refused = admin.post(BUNDLE, json={"path": "damaged"})
    assert "index.faiss" in check_problem(refused, 422)
    state = admin.get(BUNDLE).json()
    assert (state["bundle_id"], state["running"], state["previous"]) == (first, False, None)
    assert "index.faiss" in state["problem"]
    assert 'lookalike_rollouts_total{result="failed"} 1.0' in admin.get("/metrics").text


@pytest.mark.parametrize("path", ["../one", "/etc", "a/b", ".hidden", "..", "", "one\n", "one\0", "x" * 101, None, 7])
def test_nothing_but_a_name_is_taken(admin, path):
    response = admin.post(BUNDLE, json={"path": path})
    check_problem(response, 422)
    assert response.json()["type"] == "urn:lookalike:problem:invalid-parameters"


@pytest.mark.parametrize("more", [{"changes_after": -1}, {"changes_after": "soon"}, {"unknown": 1}])
def test_what_is_no_field_of_its_range_is_refused(admin, more):
    check_problem(admin.post(BUNDLE, json={"path": "two", **more}), 422)


def test_unknown_name_is_404_and_lists_the_known_ones(admin):
    for name in ("three", "no-bundle"):
        told = check_problem(admin.post(BUNDLE, json={"path": name}), 404)
        assert "it has damaged, one, two" in told


def test_rollback_without_a_bundle_before_is_refused(admin):
    assert "no bundle before" in check_problem(admin.post(f"{BUNDLE}/rollback"), 422)


def test_one_rollout_at_a_time(admin):
    answers = []

    def roll_out() -> None:
        answers.append(admin.post(BUNDLE, json={"path": "two"}).status_code)

    threads = [threading.Thread(target=roll_out) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(200) >= 1
    assert set(answers) == {200, 409}
    assert admin.get(BUNDLE).json()["running"] is False


def test_admin_needs_the_token_and_a_folder_of_bundles(admin, shop: Shop, client):
    for method, path in (("GET", BUNDLE), ("POST", BUNDLE), ("POST", f"{BUNDLE}/rollback")):
        check_problem(admin.request(method, path, headers={"Authorization": ""}, json={"path": "two"}), 401)
        check_problem(client.request(method, path, headers=AUTHORIZED, json={"path": "two"}), 403)
    settings = ServeSettings(token=SecretStr(TOKEN))
    with TestClient(create_app(shop.root, settings), headers=AUTHORIZED) as alone:
        assert "--bundles" in check_problem(alone.post(BUNDLE, json={"path": "one"}), 403)
        assert alone.get(BUNDLE).json()["bundles"] == []


def test_several_processes_are_restarted_instead(bundles):
    settings = ServeSettings(bundles=bundles, token=SecretStr(TOKEN), processes=2)
    with TestClient(create_app(bundles / "one", settings), headers=AUTHORIZED) as client:
        for response in (client.post(BUNDLE, json={"path": "two"}), client.post(f"{BUNDLE}/rollback")):
            assert "SIGHUP" in check_problem(response, 409)
        assert client.get(BUNDLE).json()["name"] == "one"
