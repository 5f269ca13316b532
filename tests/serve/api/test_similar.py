from urllib.parse import quote

import numpy as np
import pytest

from tests.serve.small_bundle import Shop


def similar(client, item_id: str, **query: object):
    return client.get(f"/v1/items/{quote(item_id, safe='')}/similar", params=query)


def nearest(shop: Shop, item_id: str) -> list[tuple[str, float]]:
    """Every image of the item compared with every image of the others."""
    rows = shop.rows()
    own = [i for i, row in enumerate(rows) if row["item_id"] == item_id]
    best: dict[str, float] = {}
    for i, row in enumerate(rows):
        if row["item_id"] != item_id:
            score = max(float(np.dot(shop.vectors[j], shop.vectors[i])) for j in own)
            best[row["item_id"]] = max(score, best.get(row["item_id"], -2.0))
    return sorted(best.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize("number", [0, 1, 2, 35, 59])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_similar_items_are_those_of_a_comparison_with_every_image(client, shop, number, k):
    item_id = f"sku/{number:03d} ö"
    response = similar(client, item_id, k=k)
    assert response.status_code == 200
    results = response.json()["results"]
    expected = nearest(shop, item_id)[:k]
    assert [result["item_id"] for result in results] == [name for name, _ in expected]
    np.testing.assert_allclose([result["score"] for result in results], [score for _, score in expected], atol=2e-6)


def test_item_is_never_similar_to_itself(client, shop):
    for item_id in {row["item_id"] for row in shop.rows()}:
        assert item_id not in {result["item_id"] for result in similar(client, item_id, k=100).json()["results"]}


def test_filters_hold_and_keep_the_order(client, shop):
    item_id = "sku/002 ö"
    expected = [name for name, _ in nearest(shop, item_id)]
    categories = {row["item_id"]: row["category"] for row in shop.rows()}
    expected = [name for name in expected if categories[name] in ("shoes", "bags")]
    found = similar(client, item_id, k=100, category=["shoes", "bags"]).json()["results"]
    assert [result["item_id"] for result in found] == expected


def test_unescaped_slashes_name_the_same_item(client):
    assert client.get("/v1/items/sku/002 ö/similar?k=1").json()["results"]


@pytest.mark.parametrize(
    "item_id", ["sku/999", "", "/", "sku", "similar", "../../etc/passwd", "sku/002 ö/similar", "\0"]
)
def test_unknown_item_is_404(client, item_id):
    response = similar(client, item_id)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
