"""Pages of one ranking, and one result for each product."""

import pytest

from tests.serve.api.test_errors import check_problem
from tests.serve.small_bundle import picture


def search(client, data=None, **fields):
    response = client.post("/v1/search", files={"image": ("p", data or picture(3))}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("dedupe", ["item", "parent"])
def test_pages_are_the_whole_ranking_cut(client, dedupe):
    whole = search(client, k=100, dedupe=dedupe)["results"]
    pages = [search(client, k=7, offset=offset, dedupe=dedupe)["results"] for offset in range(0, len(whole) + 7, 7)]
    assert [result for page in pages for result in page] == whole
    assert pages[-1] == []
    assert [result["rank"] for result in whole] == list(range(1, len(whole) + 1))


def test_parents_are_those_of_their_best_item(client):
    best: dict[str, dict] = {}
    for result in search(client, k=100)["results"]:
        best.setdefault(result["parent_id"], result)
    found = search(client, k=100, dedupe="parent")["results"]
    assert len(found) == 30
    assert [result["image_id"] for result in found] == [result["image_id"] for result in best.values()]


def test_similar_items_page_and_dedupe_alike(client):
    def similar(**fields):
        return client.get("/v1/items/sku%2F002%20ö/similar", params=fields).json()["results"]

    whole = similar(k=100)
    assert similar(k=10, offset=20) == whole[20:30]
    parents = [result["parent_id"] for result in similar(k=100, dedupe="parent")]
    assert parents == list(dict.fromkeys(result["parent_id"] for result in whole))


def test_filters_hold_on_each_page(client):
    whole = search(client, k=100, category="shoes")["results"]
    assert search(client, k=5, offset=5, category="shoes")["results"] == whole[5:10]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"offset": "901"}, "offset='901' must be a whole number from 0 to 900"),
        ({"offset": "-1"}, "offset='-1'"),
        ({"dedupe": "brand"}, "dedupe='brand' must be item or parent"),
        ({"timings": "maybe"}, "timings='maybe' must be true or false"),
        ({"offset": ["1", "2"]}, "offset is given 2 times"),
    ],
)
def test_what_cannot_be_is_told(client, fields, words):
    response = client.post("/v1/search", files={"image": ("p", picture(3))}, data=fields)
    assert words in check_problem(response, 422)
