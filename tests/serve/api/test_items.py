"""The API that changes items; tests/search/test_live_items.py has what becomes of the changes."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from serve.app import create_app
from serve.settings import ServeSettings
from tests.search.small_bundle import Shop, picture
from tests.serve.problems import check_problem
from tests.serve.running import AUTHORIZED, TOKEN
from tests.serve.samples import sample
from tests.serve.shop_database import make_table

NEW = picture(900_001)
ITEM = "sku/006 ö"


def settings(state: Path | None, **more: object) -> ServeSettings:
    return ServeSettings(state=state, token=SecretStr(TOKEN), **more)


@pytest.fixture(scope="module")
def writer(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    state = tmp_path_factory.mktemp("items") / "state"
    with TestClient(create_app(shop.root, settings(state)), headers=AUTHORIZED) as client:
        yield client


def put(client: TestClient, item_id: str, *photos: bytes, **fields: str | list[str]):
    files = [("image", ("p.jpg", data)) for data in photos]
    given = {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
    texts = [(name, (None, text)) for name, values in given.items() for text in values]
    return client.put(f"/v1/items/{quote(item_id, safe='/')}", files=[*files, *texts])


def found(client: TestClient, data: bytes, **fields: object) -> dict[str, dict]:
    response = client.post("/v1/search", files={"image": ("p.jpg", data)}, data={"k": 100, **fields})
    assert response.status_code == 200, response.text
    return {row["item_id"]: row for row in response.json()["results"]}


def last_change(client: TestClient) -> int:
    return int(client.get("/v1/admin/bundle").json()["last_change"])


@pytest.mark.parametrize("item_id", ["new", "new/1 ö", "...", "a/.b", "x" * 200, "similar", "日本"])
def test_item_of_any_usual_id_is_put_found_patched_and_deleted(writer, item_id):
    images = sample(writer, "lookalike_changed_images")
    response = put(
        writer, item_id, NEW, picture(900_002), category="shoes", price="19.5", in_stock="true", brand="acme"
    )
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["item_id"] == item_id
    assert len(body["image_ids"]) == 2
    assert sample(writer, "lookalike_changed_images") == images + 2
    assert body["bundle_id"] == writer.get("/v1/bundle").json()["bundle_id"]
    row = found(writer, NEW)[item_id]
    assert row["score"] == pytest.approx(1, abs=1e-6)
    assert (row["category"], row["price"], row["in_stock"], row["brand"]) == ("shoes", 19.5, True, "acme")
    assert writer.get(row["thumbnail"]).headers["content-type"] == "image/jpeg"
    patched = writer.patch(f"/v1/items/{quote(item_id, safe='/')}", json={"price": 7, "in_stock": False})
    assert patched.status_code == 200, patched.text
    assert not found(writer, NEW, in_stock="true").keys() & {item_id}
    row = found(writer, NEW)[item_id]
    assert (row["price"], row["in_stock"], row["brand"]) == (7, False, "acme")
    assert writer.delete(f"/v1/items/{quote(item_id, safe='/')}").status_code == 200
    assert item_id not in found(writer, NEW)
    assert sample(writer, "lookalike_changed_images") == images


@pytest.mark.parametrize(
    "path",
    [
        "%2E", "%2e%2e", "a/%2E%2E/b", "%2E/a", "a/%2e", "a%2F..%2Fb", "a%0Ab", "a%0A", "a%0Db",
        "a%E2%80%A8b", "a%E2%80%A9b", "%00", "a%1Bb", "a%7Fb", "a%C2%85b", "x" * 201, "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_item_id_that_cannot_be_named_in_a_path_or_a_log_is_422(writer, method, path):
    before = last_change(writer)
    more = {"files": {"image": ("p", NEW)}} if method == "PUT" else {"json": {"price": 1}} if method == "PATCH" else {}
    request = writer.build_request(method, f"http://testserver/v1/items/{path}", **more)
    response = writer.send(request)
    if not path:
        assert response.status_code in (404, 422)
    else:
        assert "item_id" in check_problem(response, 422)
    assert last_change(writer) == before


@pytest.mark.parametrize(
    ("photos", "fields", "status", "words"),
    [
        ([], {"price": "1"}, 422, "no file named `image`"),
        ([NEW, b"broken"], {}, 415, "image 2 of 2"),
        ([NEW[:900]], {}, 422, "image 1 of 1"),
        ([NEW] * 9, {}, 422, "more than 8 images"),
        ([NEW], {"price": "-1"}, 422, "price='-1'"),
        ([NEW], {"price": "nan"}, 422, "price='nan'"),
        ([NEW], {"in_stock": "perhaps"}, 422, "in_stock='perhaps'"),
        ([NEW], {"colour": "red"}, 422, "'colour' is unknown"),
        ([NEW], {"brand": ["a", "b"]}, 422, "'brand' is given 2 times"),
        ([NEW], {"brand": ""}, 422, "brand"),
        ([NEW], {"brand": "x" * 201}, 422, "brand"),
        ([NEW], {"category": "a\nb"}, 422, "line breaks"),
        ([NEW], {"color": "a\u2028b"}, 422, "line breaks"),
    ],
)
def test_put_that_is_wrong_changes_nothing(writer, photos, fields, status, words):
    before = last_change(writer)
    assert words in check_problem(put(writer, "wrong", *photos, **fields), status)
    assert last_change(writer) == before


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "nothing to change"),
        ({"price": "cheap"}, "price='cheap'"),
        ({"price": -0.01}, "price='-0.01'"),
        ({"price": True}, "price='True'"),
        ({"brand": "acme"}, "'brand' is unknown"),
        ([1], "the request"),
        ("x", "the request"),
    ],
)
def test_patch_that_is_wrong_changes_nothing(writer, values, words):
    before = last_change(writer)
    assert words in check_problem(writer.patch(f"/v1/items/{ITEM}", json=values), 422)
    assert last_change(writer) == before


def test_price_may_become_unknown(writer):
    assert put(writer, "priced", NEW, price="5").status_code == 200
    assert writer.patch("/v1/items/priced", json={"price": None}).status_code == 200
    assert found(writer, NEW)["priced"]["price"] is None
    assert writer.delete("/v1/items/priced").status_code == 200


def test_unknown_item_is_404_for_patch_and_no_error_for_delete(writer):
    assert "there is no item 'none'" in check_problem(writer.patch("/v1/items/none", json={"price": 1}), 404)
    for _ in range(2):
        assert writer.delete("/v1/items/none").status_code == 200


def test_body_of_a_patch_is_json(writer):
    check_problem(writer.patch(f"/v1/items/{ITEM}", content=b"{", headers={"content-type": "application/json"}), 422)
    check_problem(writer.patch(f"/v1/items/{ITEM}", data={"price": "1"}), 422)
    check_problem(writer.put(f"/v1/items/{ITEM}", json={"image": "AAAA"}), 415)


def test_writes_need_the_token_the_state_folder_and_a_place(shop, writer):
    changes = [("PUT", {"files": {"image": ("p", NEW)}}), ("PATCH", {"json": {"price": 1}}), ("DELETE", {})]
    for method, more in changes:
        request = {"method": method, "url": "/v1/items/x", **more}
        check_problem(writer.request(**request, headers={"Authorization": "Bearer wrong"}), 401)
    with TestClient(create_app(shop.root, settings(None)), headers=AUTHORIZED) as stateless:
        for method, more in changes:
            assert "--state" in check_problem(stateless.request(method, "/v1/items/x", **more), 403)
    with writer.app.state.service.writes.place(8):
        for method, more in changes:
            assert "8 changes are in flight" in check_problem(writer.request(method, "/v1/items/x", **more), 503)


def test_service_without_a_token_changes_nothing(client):
    check_problem(client.put("/v1/items/x", files={"image": ("p", NEW)}), 403)
    check_problem(client.patch("/v1/items/x", json={"price": 1}), 403)
    check_problem(client.delete("/v1/items/x", headers=AUTHORIZED), 403)


def test_prices_are_written_to_the_shops_database_and_read_from_there(shop: Shop, tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    make_table(url, shop)
    photo = shop.pictures[next(place for place, row in enumerate(shop.rows()) if row["item_id"] == ITEM)]
    for state in ("one", "two"):  # The second has nothing in its journal.
        with TestClient(create_app(shop.root, settings(tmp_path / state, store_url=SecretStr(url), store_budget_ms=1000))) as client:  # fmt: skip # noqa: E501
            if state == "one":
                changed = client.patch(
                    f"/v1/items/{ITEM}", json={"price": 777.5, "in_stock": False}, headers=AUTHORIZED
                )
                assert changed.status_code == 200, changed.text
            row = found(client, photo)[ITEM]
            assert (row["price"], row["in_stock"]) == (777.5, False)
            assert found(client, photo, price_min=777, price_max=778).keys() == {ITEM}
            assert ITEM not in found(client, photo, in_stock="true")


def test_change_that_the_database_does_not_take_is_not_made(shop: Shop, tmp_path: Path):
    dead = SecretStr("postgresql://me:hidden@127.0.0.1:1/x")
    with TestClient(create_app(shop.root, settings(tmp_path / "state", store_url=dead)), headers=AUTHORIZED) as client:
        for response in (
            client.patch(f"/v1/items/{ITEM}", json={"price": 1}),
            put(client, "new", NEW, price="1"),
        ):
            told = check_problem(response, 503)
            assert "was not made" in told
            assert "hidden" not in told
            assert response.headers["retry-after"] == "5"
        assert last_change(client) == 0
        assert client.delete(f"/v1/items/{ITEM}").status_code == 200
