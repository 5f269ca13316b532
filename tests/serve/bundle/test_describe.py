import math

from serve.bundle.describe import image_path
from tests.search.small_bundle import SPEC


def test_bundle_describes_itself_without_paths(client, shop):
    response = client.get("/v1/bundle")
    body = response.json()
    assert (body["dim"], body["images"], body["items"]) == (48, 120, 60)
    assert body["measured"]["evaluation"] == {"recall@1": 0.5}
    assert body["preprocessing"] == SPEC.to_dict()
    assert len({item["item_id"] for item in body["examples"]}) == 12
    prices = [row["price"] for row in shop.rows() if row["price"] is not None and not math.isnan(row["price"])]
    assert body["price"] == [min(prices), max(prices)]
    counts = {entry["value"]: entry["images"] for entry in body["filters"]["brand"]["values"]}
    assert counts["acme"] == sum(row["brand"] == "acme" for row in shop.rows())
    assert body["filters"]["brand"]["distinct"] == 3
    assert body["limits"] == {
        "max_k": 100, "max_offset": 900, "max_images": 16, "max_upload_bytes": 20 * 2**20, "max_pixels": 64_000_000,
    }  # fmt: skip
    for secret in ("secret", "passwd", str(shop.root)):
        assert secret not in response.text


def test_columns_are_those_that_a_filter_may_name(client):
    body = client.get("/v1/bundle").json()
    columns = body["columns"]
    assert "image" not in columns
    assert {columns[name] for name in ("item_id", "brand", "title")} == {"text"}
    assert {columns[name] for name in ("price", "stars")} == {"number"}
    assert {columns[name] for name in ("listed_at", "made_on")} == {"time"}
    assert columns["in_stock"] == "boolean"
    values = {"text": "x", "number": "1..2", "time": "2026-01-01..", "boolean": "true"}
    for name, kind in columns.items():
        value = "2026-01-01T00:00Z.." if name == "listed_at" else values[kind]
        response = client.get("/v1/items/sku%2F002%20ö/similar", params={"filter": f"{name}:{value}"})
        assert response.status_code == 200, response.text


def test_every_character_of_an_image_id_is_quoted():
    assert image_path("", "a/b ü?#%") == "/v1/images/a%2Fb%20%C3%BC%3F%23%25"
