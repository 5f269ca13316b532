from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from serve.app import create_app
from serve.bundle.catalogue import Catalogue
from src.contracts.bundle import open_bundle
from src.contracts.preprocessing import preprocess
from src.export.runtime import OnnxEncoder
from tests.serve.small_bundle import SPEC, Shop, catalogue, jpeg, picture, write_bundle


def best_items(shop: Shop, query: np.ndarray, k: int) -> list[tuple[str, float]]:
    """Every image compared, the best image of each item kept."""
    best: dict[str, float] = {}
    for row, vector in zip(shop.rows(), shop.vectors, strict=True):
        score = float(np.dot(vector.astype(np.float64), query.astype(np.float64)))
        best[row["item_id"]] = max(score, best.get(row["item_id"], -2.0))
    return sorted(best.items(), key=lambda pair: -pair[1])[:k]


@pytest.fixture(scope="module")
def encoder(shop: Shop) -> OnnxEncoder:
    return OnnxEncoder(shop.root / "encoder.onnx", threads=1)


def post(client: TestClient, data: bytes, **fields: object):
    return client.post("/v1/search", files={"image": ("photo.jpg", data, "image/jpeg")}, data=fields)


@pytest.mark.parametrize("k", [1, 7, 60, 100])
def test_results_are_those_of_a_comparison_with_every_image(client, shop, encoder, k):
    data = picture(424242)
    query = encoder.embed(preprocess(data, SPEC)[None])[0]
    body = post(client, data, k=k).json()
    expected = best_items(shop, query, k)
    assert [result["item_id"] for result in body["results"]] == [item for item, _ in expected]
    np.testing.assert_allclose([r["score"] for r in body["results"]], [score for _, score in expected], atol=2e-6)
    assert [result["rank"] for result in body["results"]] == list(range(1, min(k, 60) + 1))
    assert body["k"] == k


def test_catalogue_photo_finds_its_own_item_and_image(client, shop):
    for number in (0, 17, 63):
        row = shop.rows()[number]
        first = post(client, shop.pictures[number]).json()["results"][0]
        assert first["image_id"] == row["image_id"]
        assert first["score"] == pytest.approx(1.0, abs=1e-6)
        assert -1 <= first["score"] <= 1


def test_result_tells_the_row_of_the_catalogue(client, shop):
    rows = {row["image_id"]: row for row in shop.rows()}
    results = post(client, picture(1), k=60).json()["results"]
    assert len({result["item_id"] for result in results}) == 60
    for result in results:
        row = rows[result["image_id"]]
        for name in ("item_id", "parent_id", "category", "brand", "color", "price", "in_stock"):
            assert result[name] == row[name], name
        assert result["thumbnail"] == "/v1/images/" + quote(row["image_id"], safe="")
    assert {result["price"] is None for result in results} == {True, False}


def test_answer_names_the_bundle_and_the_times(client, shop):
    assert post(client, picture(1)).json()["timings_ms"] is None
    response = post(client, picture(1), timings="true")
    body = response.json()
    assert body["k"] == len(body["results"]) == 10
    assert body["bundle_id"] == client.get("/v1/bundle").json()["bundle_id"]
    assert body["timings_ms"].keys() == {"decode", "embed", "search", "wait", "total"}
    total = body["timings_ms"].pop("total")
    assert total == pytest.approx(sum(body["timings_ms"].values()), abs=0.01)


def test_k_may_stand_in_the_query_string(client):
    files = {"image": ("photo.jpg", picture(1), "image/jpeg")}
    assert len(client.post("/v1/search?k=3", files=files).json()["results"]) == 3


def test_every_format_gives_the_same_item(client, shop):
    pixels = np.asarray(Image.fromarray(np.full((50, 70, 3), 9, np.uint8)))
    pixels = pixels.copy()
    pixels[:25, :35] = (250, 30, 10)
    found = {
        form: post(client, jpeg(pixels, form=form)).json()["results"][0]["item_id"]
        for form in ("PNG", "BMP", "TIFF", "JPEG", "WEBP")
    }
    assert len(set(found.values())) == 1, found


def test_one_colour_has_no_direction_and_still_an_answer(client):
    body = post(client, jpeg(np.full((40, 40, 3), 77, np.uint8))).json()
    assert all(np.isfinite(result["score"]) for result in body["results"])


def test_scores_are_clipped_and_what_is_not_finite_is_no_result(shop):
    found = Catalogue.open(open_bundle(shop.root)).results(
        np.array([1.00001, 0.5, np.nan, -1.00001, -np.inf], np.float32), np.arange(5)
    )
    assert [(result.rank, result.score) for result in found] == [(1, 1.0), (2, 0.5), (3, -1.0)]
    assert [result.image_id for result in found] == [shop.rows()[place]["image_id"] for place in (0, 1, 3)]


def test_empty_catalogue_has_no_results(tmp_path: Path):
    shop = write_bundle(tmp_path / "bundle", [])
    with TestClient(create_app(shop.root)) as client:
        response = post(client, picture(1))
        assert response.status_code == 200
        assert response.json()["results"] == []
        assert post(client, picture(1), category="shoes").json()["results"] == []
        described = client.get("/v1/bundle").json()
        assert (described["items"], described["price"], described["examples"]) == (0, None, [])
        assert client.get("/v1/items/sku/similar").status_code == 404


def test_graph_index_answers_as_the_exact_one(tmp_path: Path, client):
    shop = write_bundle(tmp_path / "bundle", catalogue(60), layout="hnsw_fp16")
    with TestClient(create_app(shop.root)) as graph:
        for seed in range(5):
            for fields in ({}, {"category": "shoes"}, {"in_stock": "true"}):
                expected = [r["item_id"] for r in post(client, picture(seed), **fields).json()["results"]]
                assert [r["item_id"] for r in post(graph, picture(seed), **fields).json()["results"]] == expected


def test_photo_of_ten_megabytes_needs_no_disk(client, shop, monkeypatch):
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", lambda _: pytest.fail("went to the disk"))
    pixels = np.random.default_rng(0).integers(0, 256, (1800, 1900, 3), dtype=np.uint8)
    data = jpeg(pixels, form="BMP")
    assert len(data) > 10_000_000
    assert post(client, data).status_code == 200


def test_bundle_describes_itself_without_paths(client, shop):
    response = client.get("/v1/bundle")
    body = response.json()
    assert (body["dim"], body["images"], body["items"]) == (48, 120, 60)
    assert body["measured"]["index"] == {"recall@10": 1.0}
    assert body["preprocessing"] == SPEC.to_dict()
    assert len({item["item_id"] for item in body["examples"]}) == 12
    prices = [row["price"] for row in shop.rows() if row["price"] is not None]
    assert body["price"] == [min(prices), max(prices)]
    counts = {entry["value"]: entry["images"] for entry in body["filters"]["brand"]["values"]}
    assert counts["acme"] == sum(row["brand"] == "acme" for row in shop.rows())
    assert body["filters"]["brand"]["distinct"] == 3
    assert "secret" not in response.text
    assert "passwd" not in response.text


def test_openapi_describes_the_form(client):
    described = client.get("/openapi.json").json()
    form = described["paths"]["/v1/search"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"image", "k", "category", "price_max", "in_stock"} <= form["properties"].keys()
    names = {parameter["name"] for parameter in described["paths"]["/v1/items/{item_id}/similar"]["get"]["parameters"]}
    assert {"item_id", "k", "brand"} <= names
    assert client.get("/docs").status_code == 404
