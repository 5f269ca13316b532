"""Items that are changed through the API: visible at once, there after a kill, and in the next bundle."""

import asyncio
import hashlib
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from serve.access.keys import Role, new_key
from serve.bundle.engine import Engine
from serve.live.engine import LiveEngine

from serve.app import create_app
from serve.live.journal import Journal, KeptPicture
from serve.settings import ServeSettings
from tests.search.small_bundle import Shop, catalogue, jpeg, picture, write_bundle
from tests.serve.running import PATIENCE, Running, running

ADMIN, LINE = new_key("ops", Role.ADMIN)
HEADERS = {"Authorization": f"Bearer {ADMIN}"}
NEW = [picture(900_001), picture(900_002)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shop]:
    folder = tmp_path_factory.mktemp("live") / "bundles"
    return {name: write_bundle(folder / name, catalogue(40, seed=seed)) for name, seed in (("one", 1), ("two", 2))}


@pytest.fixture
def client(bundles: dict[str, Shop], tmp_path: Path) -> Iterator[TestClient]:
    root = bundles["one"].root
    settings = ServeSettings(bundles=root.parent, state=tmp_path / "state", keys=LINE.line())
    with TestClient(create_app(root, settings), headers=HEADERS) as client:
        yield client


def put(client: TestClient | httpx.Client, item_id: str, pictures: list[bytes], **fields: str) -> httpx.Response:
    files = [("image", ("p.jpg", data)) for data in pictures]
    return client.put(f"/v1/items/{item_id}", files=files, data=fields)


def found(client: TestClient | httpx.Client, data: bytes, **filters: str) -> dict[str, dict]:
    response = client.post("/v1/search", params={"k": 5, **filters}, files={"image": ("p.jpg", data)})
    assert response.status_code == 200, response.text
    return {row["item_id"]: row for row in response.json()["results"]}


def test_new_item_is_found_with_its_attributes_and_its_picture(client):
    response = put(client, "new/1 ö", NEW, category="shoes", price="19.5", in_stock="true", brand="acme")
    assert response.status_code == 200, response.text
    body = response.json()
    assert len(body["image_ids"]) == 2
    row = found(client, NEW[0])["new/1 ö"]
    assert row["score"] > 0.999
    assert (row["category"], row["price"], row["in_stock"], row["brand"]) == ("shoes", 19.5, True, "acme")
    assert row["image_id"] in body["image_ids"]
    thumbnail = client.get(row["thumbnail"])
    assert thumbnail.status_code == 200
    assert thumbnail.content[:2] == b"\xff\xd8"
    assert "new/1 ö" in found(client, NEW[0], category="shoes", price_min="19", price_max="20", in_stock="true")
    assert "new/1 ö" not in found(client, NEW[0], category="bags")
    similar = client.get("/v1/items/new/1 ö/similar", params={"k": 5})
    assert similar.status_code == 200
    assert "new/1 ö" not in {row["item_id"] for row in similar.json()["results"]}
    explained = client.post("/v1/explain", files={"image": ("p.jpg", NEW[0])}, data={"item_id": "new/1 ö"})
    assert explained.json().get("image_id") == row["image_id"], explained.text
    metrics = client.get("/metrics").text
    assert 'lookalike_freshness_lag_seconds_count{change="put"} 1.0' in metrics
    assert 'lookalike_live_rows{kind="delta"} 2.0' in metrics


def test_putting_an_item_replaces_all_of_it(client, bundles):
    old = bundles["one"].rows()[0]
    assert found(client, bundles["one"].pictures[0])[old["item_id"]]["score"] > 0.999
    assert put(client, old["item_id"], NEW[:1], price="1").status_code == 200
    row = found(client, NEW[0])[old["item_id"]]
    assert (row["price"], row["category"], row["score"] > 0.999) == (1.0, None, True)
    again = found(client, bundles["one"].pictures[0]).get(old["item_id"])
    assert again is None or again["score"] < 0.999
    assert client.get(f"/v1/images/{old['image_id']}").status_code == 404


def test_deleted_item_is_gone_with_its_pictures(client, bundles):
    row = bundles["one"].rows()[3]
    for _ in range(2):
        assert client.delete(f"/v1/items/{row['item_id']}").status_code == 200
        assert row["item_id"] not in found(client, bundles["one"].pictures[3])
        assert client.get(f"/v1/items/{row['item_id']}/similar").status_code == 404
        assert client.get(f"/v1/images/{row['image_id']}").status_code == 404


def test_price_and_stock_change_alone(client, bundles):
    place, row = next((place, row) for place, row in enumerate(bundles["one"].rows()) if row["category"] == "shoes")
    response = client.patch(f"/v1/items/{row['item_id']}", json={"price": 3.25, "in_stock": None})
    assert response.status_code == 200, response.text
    changed = found(client, bundles["one"].pictures[place])[row["item_id"]]
    assert (changed["price"], changed["in_stock"], changed["category"]) == (3.25, None, "shoes")
    assert changed["score"] > 0.999
    assert client.patch("/v1/items/nobody", json={"price": 1}).status_code == 404
    for wrong in ({}, {"price": -1}, {"price": "x"}, {"brand": "x"}, {"price": 1e999}):
        body = {"content": b'{"price": 1e999}'} if wrong == {"price": 1e999} else {"json": wrong}
        assert client.patch(f"/v1/items/{row['item_id']}", **body).status_code == 422


@pytest.mark.parametrize(
    ("pictures", "fields", "status"),
    [
        ([], {}, 415),
        ([b"no image"], {}, 415),
        ([NEW[0], NEW[0][:400]], {}, 422),
        ([jpeg(np.full((64, 64, 3), 128, np.uint8))], {}, 422),
        ([NEW[0]], {"price": "nan"}, 422),
        ([NEW[0]], {"colour": "red"}, 422),
        ([NEW[0]], {"brand": "x" * 201}, 422),
        ([NEW[0]] * 9, {}, 400),
    ],
)
def test_what_is_wrong_changes_nothing(client, pictures, fields, status):
    response = put(client, "wrong", pictures, **fields)
    assert response.status_code == status, response.text
    assert "wrong" not in found(client, NEW[0])


@pytest.mark.parametrize("charset", ["idna", "utf-7", "utf-16", "nothing-like-this"])
def test_form_is_utf_8_whatever_its_sender_says(client, charset):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="brand"\r\n\r\n+ACI-\xc3\xb6\r\n'
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="p.jpg"\r\n\r\n' + NEW[0] + b"\r\n--x--\r\n"
    )
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    response = client.put("/v1/items/told", content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert found(client, NEW[0])["told"]["brand"] == "+ACI-ö"


def test_without_state_nothing_is_changed(shop):
    with TestClient(create_app(shop.root, ServeSettings(keys=LINE.line())), headers=HEADERS) as client:
        for response in (put(client, "a", NEW), client.delete("/v1/items/a"), client.patch("/v1/items/a", json={})):
            assert response.status_code in (403, 422)
        assert "--state" in client.delete("/v1/items/a").json()["detail"]


def start(bundles: dict[str, Shop], state: Path):
    root = bundles["one"].root
    arguments = ["--bundle", str(root), "--bundles", str(root.parent), "--state", str(state)]
    return running(arguments, environment={"LOOKALIKE_KEYS": LINE.line()})


def caller(started: Running) -> httpx.Client:
    return httpx.Client(base_url=started.url, headers=HEADERS, timeout=PATIENCE)


def test_what_was_acknowledged_survives_a_kill_and_two_new_bundles(bundles, tmp_path):
    one, two = bundles["one"].rows(), bundles["two"].rows()
    gone, patched = one[0]["item_id"], next(row["item_id"] for row in one if row["item_id"] != one[0]["item_id"])
    assert {gone, patched} <= {row["item_id"] for row in two}

    def check(client: httpx.Client, shop: Shop) -> None:
        assert found(client, NEW[0])["kept"]["score"] > 0.999
        for place, row in enumerate(shop.rows()):
            if row["item_id"] == gone:
                assert gone not in found(client, shop.pictures[place])
            if row["item_id"] == patched:
                assert found(client, shop.pictures[place])[patched]["price"] == 777

    with start(bundles, tmp_path) as started, caller(started) as client:
        assert put(client, "kept", NEW).status_code == 200
        assert client.delete(f"/v1/items/{gone}").status_code == 200
        assert client.patch(f"/v1/items/{patched}", json={"price": 777}).status_code == 200
        started.stop(signal.SIGKILL)
    with start(bundles, tmp_path) as started, caller(started) as client:
        check(client, bundles["one"])
        assert client.post("/v1/admin/bundle", json={"path": "two"}).status_code == 200
        check(client, bundles["two"])
        assert put(client, "later", [picture(900_003)]).status_code == 200
        assert client.post("/v1/admin/bundle/rollback").status_code == 200
        check(client, bundles["one"])
        assert "later" in found(client, picture(900_003))
        assert started.stop()[0] == 0


def test_changes_that_the_new_bundle_has_are_not_made_again(client, bundles):
    assert put(client, "old", NEW[:1]).status_code == 200
    asked = {"path": "two", "changes_since": "2100-01-01T00:00:00Z"}
    assert client.post("/v1/admin/bundle", json=asked).status_code == 200
    assert "old" not in found(client, NEW[0])


def test_picture_that_an_encoder_makes_nothing_of_stops_no_other(client, bundles):
    assert put(client, "good", NEW[:1]).status_code == 200
    journal = client.app.state.service.items.journal
    journal.put("empty", {}, [KeptPicture("empty/1", jpeg(np.full((64, 64, 3), 128, np.uint8)), b"")])
    assert put(client, "after", NEW[1:]).status_code == 200
    assert client.post("/v1/admin/bundle", json={"path": "two"}).status_code == 200
    assert {"good", "after"} <= found(client, NEW[0]).keys() | found(client, NEW[1]).keys()


def test_bundle_catches_up_with_a_third_of_a_core_while_another_answers(bundles, tmp_path, monkeypatch):
    embed_picture = LiveEngine.embed_picture

    def busy(self: LiveEngine, data: bytes) -> np.ndarray:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        return embed_picture(self, data)

    monkeypatch.setattr(LiveEngine, "embed_picture", busy)
    journal = Journal(tmp_path / "journal.sqlite")
    engine = LiveEngine.over(Engine.open(bundles["one"].root, encoder_threads=1), tmp_path, journal)
    images = len(engine.now().index)
    for number in range(10):
        journal.put(f"i{number}", {}, [KeptPicture(f"i{number}/1", picture(700_000 + number), b"")])
    began, worked = time.perf_counter(), time.thread_time()
    engine.catch_up(rest=2.0)
    assert time.thread_time() - worked < 0.4 * (time.perf_counter() - began)
    assert len(engine.now().index) == images + 10
    engine.close()
    journal.close()


def test_bundle_with_the_same_encoder_embeds_nothing_again(client, bundles, monkeypatch):
    embedded: list[bytes] = []
    embed_picture = LiveEngine.embed_picture

    def noted(self: LiveEngine, data: bytes) -> np.ndarray:
        embedded.append(data)
        return embed_picture(self, data)

    monkeypatch.setattr(LiveEngine, "embed_picture", noted)
    image_ids = put(client, "new", NEW).json()["image_ids"]
    put(client, "other", [picture(900_003)])
    assert len(embedded) == 3
    # Another encoder has made something of one of them since: that is of no use to this one.
    journal = client.app.state.service.items.journal
    journal.keep_embeddings("another", image_ids[:1], np.eye(1, 48, dtype=np.float32))
    assert client.post("/v1/admin/bundle", json={"path": "two"}).status_code == 200
    assert embedded[3:] == NEW[:1]
    for data, item_id in ((NEW[0], "new"), (NEW[1], "new"), (picture(900_003), "other")):
        assert found(client, data)[item_id]["score"] > 0.999
    # Its own picture is not the other one's any longer.
    assert put(client, "other", [picture(900_004)]).status_code == 200
    made_by = client.app.state.service.items.engine.made_by
    assert len(journal.embeddings("new", made_by)) == 2
    assert journal.embeddings("other", made_by).keys() == {f"other/{hashlib.sha256(picture(900_004)).hexdigest()[:16]}"}
    assert client.delete("/v1/items/other").status_code == 200
    assert not journal.embeddings("other", made_by)


def test_an_embedding_that_cannot_be_kept_stops_nothing(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.put("new", {}, [KeptPicture("new/1", NEW[0], b"")])
    journal._marking.execute("PRAGMA busy_timeout = 0")
    vectors = np.eye(1, 4, dtype=np.float32)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        journal.keep_embeddings("encoder", ["new/1"], vectors)
        other.execute("ROLLBACK")
    assert not journal.embeddings("new", "encoder")
    journal.keep_embeddings("encoder", ["new/1", "gone/1"], vectors.repeat(2, axis=0))
    np.testing.assert_array_equal(journal.embeddings("new", "encoder")["new/1"], vectors[0])
    journal.close()


def test_no_write_is_lost_while_bundles_change(bundles, tmp_path):
    with start(bundles, tmp_path) as started, caller(started) as client:
        written: list[str] = []
        ended = threading.Event()

        def write() -> None:
            with caller(started) as own:
                while not ended.is_set():
                    name = f"w{len(written)}"
                    data = picture(800_000 + len(written))
                    assert put(own, name, [data]).status_code == 200
                    written.append(name)
                    assert name in found(own, data), "acknowledged, and not found"

        thread = threading.Thread(target=write)
        thread.start()
        for path in ("two", "one", "two"):
            assert client.post("/v1/admin/bundle", json={"path": path}).status_code == 200
        ended.set()
        thread.join()
        assert len(written) > 3
        for number, name in enumerate(written):
            assert name in found(client, picture(800_000 + number))
        assert started.stop()[0] == 0


def test_second_service_on_the_same_state_is_told(bundles, tmp_path, client):
    settings = ServeSettings(state=client.app.state.service.settings.state, keys=LINE.line())
    with (
        pytest.raises(Exception, match="another writer"),
        TestClient(create_app(bundles["one"].root, settings)),
    ):
        pass


def test_caller_that_leaves_twice_still_lets_nobody_in_beside_a_running_change(client):
    items = client.app.state.service.items
    began, go_on = threading.Event(), threading.Event()

    def change() -> None:
        began.set()
        assert go_on.wait(PATIENCE)

    async def leave() -> None:
        writing = asyncio.create_task(items._written("put", change, 0.0))
        await asyncio.to_thread(began.wait, PATIENCE)
        for _ in range(3):
            writing.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not writing.done()
        go_on.set()
        await asyncio.wait([writing])
        assert writing.cancelled()

    asyncio.run(leave())
