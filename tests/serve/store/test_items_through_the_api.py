"""A price that is written through the API is what every search shows, after a restart and with a new bundle too."""

import time
from pathlib import Path

from fastapi.testclient import TestClient

from serve.access.keys import Role, new_key
from serve.app import create_app
from serve.settings import ServeSettings
from tests.serve.small_bundle import Shop

KEY, LINE = new_key("shop", Role.WRITE)
ITEM = "sku/006 ö"


def shown(client: TestClient, shop: Shop, **fields: object) -> list[dict]:
    """The item, searched with its own photo; none where it is not found."""
    place = next(place for place, row in enumerate(shop.rows()) if row["item_id"] == ITEM)
    response = client.post("/v1/search", files={"image": ("p.jpg", shop.pictures[place])}, data={"k": 100, **fields})
    assert response.status_code == 200, response.text
    return [row for row in response.json()["results"] if row["item_id"] == ITEM]


def test_price_that_was_written_stays(shop: Shop, tmp_path: Path):
    settings = ServeSettings(state=tmp_path / "state", keys=LINE.line())
    with TestClient(create_app(shop.root, settings), headers={"Authorization": f"Bearer {KEY}"}) as client:
        changed = client.patch(f"/v1/items/{ITEM}", json={"price": 777.5, "in_stock": False})
        assert changed.status_code == 200, changed.text
        (row,) = shown(client, shop)
        assert (row["price"], row["in_stock"]) == (777.5, False)
        assert shown(client, shop, price_min=777, price_max=778)
        assert not shown(client, shop, in_stock="true")
    with TestClient(create_app(shop.root, settings), headers={"Authorization": f"Bearer {KEY}"}) as client:
        until = time.monotonic() + 30  # Until the store is filled, and a little after it.
        while client.get("/metrics").text.find("lookalike_store_items_loaded 60.0") < 0:
            assert time.monotonic() < until
        (row,) = shown(client, shop)
        assert (row["price"], row["in_stock"]) == (777.5, False)


def test_words_find_an_item_that_was_put_and_no_longer_what_it_was(shop: Shop, tmp_path: Path):
    settings = ServeSettings(state=tmp_path / "state", keys=LINE.line())
    photo = [("image", ("p.jpg", shop.pictures[0]))]
    with TestClient(create_app(shop.root, settings), headers={"Authorization": f"Bearer {KEY}"}) as client:
        until = time.monotonic() + 30
        while client.get("/metrics").text.find("lookalike_store_items_loaded 60.0") < 0:
            assert time.monotonic() < until

        def found(words: str) -> set[str]:
            body = client.get("/v1/search/text", params={"q": words, "k": 100}).json()
            return {row["item_id"] for row in body["results"]}

        for brand, item in (("Zephyrine", "brand new"), ("Quillon", ITEM)):
            assert client.put(f"/v1/items/{item}", files=photo, data={"brand": brand}).status_code == 200
            assert found(brand) == {item}
        assert client.put(f"/v1/items/{ITEM}", files=photo, data={"brand": "Umbra"}).status_code == 200
        assert found("Quillon") == set()
