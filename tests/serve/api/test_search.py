"""Whole searches against a comparison with every image of the catalogue."""

import io
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.bundle import CONFIDENCE
from src.contracts.preprocessing import decode, preprocess
from src.export.runtime import OnnxEncoder
from src.search.confidence import Confidence
from tests.search.small_bundle import SPEC, Shop, catalogue, jpeg, picture, write_bundle
from tests.serve.problems import check_problem


def best_items(shop: Shop, query: np.ndarray, k: int) -> list[tuple[str, float]]:
    """Every image compared, the best image of each item kept."""
    best: dict[str, float] = {}
    for row, vector in zip(shop.rows(), shop.vectors, strict=True):
        score = float(np.dot(vector.astype(np.float64), query.astype(np.float64)))
        best[row["item_id"]] = max(score, best.get(row["item_id"], -2.0))
    return sorted(best.items(), key=lambda pair: -pair[1])[:k]


def nearest_to_item(shop: Shop, item_id: str) -> list[tuple[str, float]]:
    """Every image of the item compared with every image of the others."""
    rows = shop.rows()
    own = [i for i, row in enumerate(rows) if row["item_id"] == item_id]
    best: dict[str, float] = {}
    for i, row in enumerate(rows):
        if row["item_id"] != item_id:
            score = max(float(np.dot(shop.vectors[j], shop.vectors[i])) for j in own)
            best[row["item_id"]] = max(score, best.get(row["item_id"], -2.0))
    return sorted(best.items(), key=lambda pair: -pair[1])


@pytest.fixture(scope="module")
def encoder(shop: Shop) -> OnnxEncoder:
    return OnnxEncoder(shop.root / "encoder.onnx", threads=1)


def post(client: TestClient, data: bytes, **fields: object):
    return client.post("/v1/search", files={"image": ("photo.jpg", data, "image/jpeg")}, data=fields)


def search(client: TestClient, data: bytes, **fields: object) -> dict:
    response = post(client, data, **fields)
    assert response.status_code == 200, response.text
    return response.json()


def similar(client: TestClient, item_id: str, **query: object):
    return client.get(f"/v1/items/{quote(item_id, safe='')}/similar", params=query)


def files(*photos: bytes):
    return [("image", ("p", data)) for data in photos]


@pytest.mark.parametrize("k", [1, 7, 60, 100])
def test_results_are_those_of_a_comparison_with_every_image(client, shop, encoder, k):
    data = picture(424242)
    query = encoder.embed(preprocess(data, SPEC)[None])[0]
    body = search(client, data, k=k)
    expected = best_items(shop, query, k)
    assert [result["item_id"] for result in body["results"]] == [item for item, _ in expected]
    np.testing.assert_allclose([r["score"] for r in body["results"]], [score for _, score in expected], atol=2e-6)
    assert [result["rank"] for result in body["results"]] == list(range(1, min(k, 60) + 1))
    assert body["k"] == k


def test_catalogue_photo_finds_its_own_item_and_image(client, shop):
    for number in (0, 17, 63):
        first = search(client, shop.pictures[number])["results"][0]
        assert first["image_id"] == shop.rows()[number]["image_id"]
        assert first["score"] == pytest.approx(1.0, abs=1e-6)
        assert -1 <= first["score"] <= 1


def test_result_has_the_row_of_the_catalogue(client, shop):
    rows = {row["image_id"]: row for row in shop.rows()}
    results = search(client, picture(1), k=60)["results"]
    assert len({result["item_id"] for result in results}) == 60
    for result in results:
        row = rows[result["image_id"]]
        for name in ("item_id", "parent_id", "category", "brand", "color", "in_stock"):
            assert result[name] == row[name], name
        assert result["price"] == (None if row["price"] is None or np.isnan(row["price"]) else row["price"])
        assert result["thumbnail"] == "/v1/images/" + quote(row["image_id"], safe="")
    assert {result["price"] is None for result in results} == {True, False}


def test_answer_names_the_bundle_and_the_times(client):
    assert search(client, picture(1))["timings_ms"] is None
    body = search(client, picture(1), timings="true")
    assert body["k"] == len(body["results"]) == 10
    assert body["bundle_id"] == client.get("/v1/bundle").json()["bundle_id"]
    assert body["timings_ms"].keys() == {"decode", "embed", "search", "wait", "total"}
    total = body["timings_ms"].pop("total")
    assert total == pytest.approx(sum(body["timings_ms"].values()), abs=0.01)


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({"category": ["shoes", "bags"]}, lambda row: row["category"] in ("shoes", "bags")),
        ({"category": "shoes", "brand": "acme"}, lambda row: row["category"] == "shoes" and row["brand"] == "acme"),
        ({"price_max": 60}, lambda row: row["price"] is not None and row["price"] <= 60),
        ({"in_stock": "false"}, lambda row: row["in_stock"] is False),
        ({"filter": "price:100..150"}, lambda row: row["price"] is not None and 100 <= row["price"] <= 150),
        ({"filter": ["brand:acme", "stars:3.."]}, lambda row: row["brand"] == "acme" and row["stars"] in (3, 4, 5)),
        ({"filter": "made_on:2020-01-03..2020-01-07"}, lambda row: 3 <= row["made_on"].day <= 7),
    ],
)  # fmt: skip
def test_filters_keep_the_ranking_of_what_meets_them(client, shop, encoder, fields, holds):
    items = {row["item_id"]: row for row in shop.rows()}
    query = encoder.embed(preprocess(picture(3), SPEC)[None])[0]
    expected = [name for name, _ in best_items(shop, query, 60) if holds(items[name])]
    assert expected
    assert [row["item_id"] for row in search(client, picture(3), k=100, **fields)["results"]] == expected
    assert (
        search(client, picture(3), k=2, offset=1, **fields)["results"]
        == (search(client, picture(3), k=100, **fields)["results"][1:3])
    )


def test_every_format_finds_the_same_item(client):
    pixels = np.full((50, 70, 3), 9, np.uint8)
    pixels[:25, :35] = (250, 30, 10)
    found = {
        form: search(client, jpeg(pixels, form=form))["results"][0]["item_id"]
        for form in ("PNG", "BMP", "TIFF", "JPEG", "WEBP", "GIF")
    }
    assert len(set(found.values())) == 1, found


def test_one_colour_has_no_direction_and_still_an_answer(client):
    body = search(client, jpeg(np.full((40, 40, 3), 77, np.uint8)))
    assert all(np.isfinite(result["score"]) for result in body["results"])


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 3)])
def test_odd_shapes_are_searched(client, size):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(buffer, "PNG")
    search(client, buffer.getvalue())


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 415, "empty"),
        (b"hello", 415, "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", 415, "not a JPEG"),
        (b"%PDF-1.7", 415, "not a JPEG"),
        (picture(5)[: len(picture(5)) // 2], 422, "truncated"),
    ],
)
def test_photo_that_cannot_be_read_is_an_error_of_the_caller(client, data, status, words):
    assert words in check_problem(post(client, data), status)


def test_empty_catalogue_has_no_results(tmp_path: Path):
    shop = write_bundle(tmp_path / "bundle", [])
    with TestClient(create_app(shop.root)) as client:
        assert search(client, picture(1))["results"] == []
        assert search(client, picture(1), category="shoes")["results"] == []
        described = client.get("/v1/bundle").json()
        assert (described["items"], described["price"], described["examples"]) == (0, None, [])
        assert client.get("/v1/items/sku/similar").status_code == 404


def test_graph_index_answers_as_the_exact_one(tmp_path: Path, client):
    shop = write_bundle(tmp_path / "bundle", catalogue(60), layout="hnsw_fp16")
    with TestClient(create_app(shop.root)) as graph:
        for seed in range(5):
            for fields in ({}, {"category": "shoes"}, {"in_stock": "true"}):
                expected = [r["item_id"] for r in search(client, picture(seed), **fields)["results"]]
                assert [r["item_id"] for r in search(graph, picture(seed), **fields)["results"]] == expected


@pytest.mark.parametrize("dedupe", ["item", "parent"])
def test_pages_are_the_whole_ranking_cut(client, dedupe):
    whole = search(client, picture(3), k=100, dedupe=dedupe)["results"]
    offsets = range(0, len(whole) + 7, 7)
    pages = [search(client, picture(3), k=7, offset=offset, dedupe=dedupe)["results"] for offset in offsets]
    assert [result for page in pages for result in page] == whole
    assert pages[-1] == []
    assert [result["rank"] for result in whole] == list(range(1, len(whole) + 1))


def test_parents_are_those_of_their_best_item(client):
    best: dict[str, dict] = {}
    for result in search(client, picture(3), k=100)["results"]:
        best.setdefault(result["parent_id"], result)
    found = search(client, picture(3), k=100, dedupe="parent")["results"]
    assert len(found) == 30
    assert [result["image_id"] for result in found] == [result["image_id"] for result in best.values()]


@pytest.mark.parametrize("number", [0, 1, 2, 35, 59])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_similar_items_are_those_of_a_comparison_with_every_image(client, shop, number, k):
    item_id = f"sku/{number:03d} ö"
    response = similar(client, item_id, k=k)
    assert response.status_code == 200
    results = response.json()["results"]
    expected = nearest_to_item(shop, item_id)[:k]
    assert [result["item_id"] for result in results] == [name for name, _ in expected]
    np.testing.assert_allclose([result["score"] for result in results], [score for _, score in expected], atol=2e-6)


def test_item_is_never_similar_to_itself(client, shop):
    for item_id in {row["item_id"] for row in shop.rows()}:
        assert item_id not in {result["item_id"] for result in similar(client, item_id, k=100).json()["results"]}


def test_similar_items_take_filters_pages_and_parents(client, shop):
    item_id = "sku/002 ö"
    categories = {row["item_id"]: row["category"] for row in shop.rows()}
    expected = [name for name, _ in nearest_to_item(shop, item_id) if categories[name] in ("shoes", "bags")]
    found = similar(client, item_id, k=100, category=["shoes", "bags"]).json()["results"]
    assert [result["item_id"] for result in found] == expected
    whole = similar(client, item_id, k=100).json()["results"]
    assert similar(client, item_id, k=10, offset=20).json()["results"] == whole[20:30]
    parents = [row["parent_id"] for row in similar(client, item_id, k=100, dedupe="parent").json()["results"]]
    assert parents == list(dict.fromkeys(row["parent_id"] for row in whole))


def test_unescaped_slashes_name_the_same_item(client):
    assert client.get("/v1/items/sku/002 ö/similar?k=1").json()["results"]


@pytest.mark.parametrize(
    "item_id", ["sku/999", "", "/", "sku", "similar", "../../etc/passwd", "sku/002 ö/similar", "\0", "x" * 5000]
)
def test_unknown_item_is_404(client, item_id):
    check_problem(similar(client, item_id), 404)


def test_words_find_items_that_have_all_of_them(client, shop):
    rows = {row["item_id"]: row for row in shop.rows()}
    body = client.get("/v1/search/text", params={"q": "ACME  red", "k": 100}).json()
    expected = {name for name, row in rows.items() if (row["brand"], row["color"]) == ("acme", "red")}
    assert {row["item_id"] for row in body["results"]} == expected
    assert (body["rung"], {row["score"] for row in body["results"]}) == ("text", {None})
    assert client.get("/v1/search/text?q=nothinglikethis").json()["results"] == []
    for query in ("", "?q=", "?q=%20"):
        check_problem(client.get(f"/v1/search/text{query}"), 422)


@pytest.mark.parametrize(
    "words", ["%", "_", "***", '"', "NEAR(", "acme OR nothing", "\\", "'; DROP TABLE words", "-acme"]
)
def test_words_are_no_query_language(client, words):
    response = client.get("/v1/search/text", params={"q": words, "k": 100})
    assert response.status_code == 200
    assert words == "-acme" or response.json()["results"] == []


def test_each_photo_of_a_batch_has_the_answer_or_the_problem_of_its_own_search(client):
    photos = [picture(1), b"broken", picture(2), picture(1)[:900], picture(1)]
    response = client.post("/v1/search/batch", files=files(*photos), data={"k": 4})
    assert response.status_code == 200
    answers = response.json()["answers"]
    alone = [post(client, data, k=4) for data in photos]
    assert [found.status_code for found in alone] == [200, 415, 200, 422, 200]
    for answer, expected in zip(answers, alone, strict=True):
        if expected.status_code == 200:
            assert answer == {"answer": expected.json(), "problem": None}
        else:
            problem = {**expected.json(), "request_id": response.headers["x-request-id"]}
            assert answer == {"answer": None, "problem": problem}


def test_batch_is_bounded_and_counts_as_its_photos(shop, client):
    check_problem(client.post("/v1/search/batch", files=files(*[picture(1)] * 17)), 422)
    check_problem(client.post("/v1/search/batch", files={"other": ("p", picture(1))}), 422)
    assert "k='0'" in check_problem(client.post("/v1/search/batch", files=files(picture(1)), data={"k": 0}), 422)
    with TestClient(create_app(shop.root, ServeSettings(max_in_flight=3))) as small:
        assert small.get("/v1/bundle").json()["limits"]["max_images"] == 3
        check_problem(small.post("/v1/search/batch", files=files(*[picture(1)] * 4)), 422)
        for _ in range(2):  # Every place is given back.
            assert small.post("/v1/search/batch", files=files(*[picture(1)] * 3)).status_code == 200
        with small.app.state.service.admission.place():
            check_problem(small.post("/v1/search/batch", files=files(*[picture(1)] * 3)), 503)
            assert small.post("/v1/search/batch", files=files(*[picture(1)] * 2)).status_code == 200
        assert "lookalike_searches_in_flight 0.0" in small.get("/metrics").text


def shelf(*places: tuple[int, int, int]) -> bytes:
    """Pictures of items (seed, top, left) on a dull background, each 96 by 96."""
    pixels = np.full((300, 400, 3), 128, np.uint8)
    pixels += np.random.default_rng(0).integers(0, 12, pixels.shape, dtype=np.uint8)
    for seed, top, left in places:
        pixels[top : top + 96, left : left + 96] = decode(picture(seed))
    return jpeg(pixels, form="PNG")


def test_box_finds_what_is_in_it(client, shop):
    """The photo holds two catalogue pictures; each box finds its own."""
    rows = shop.rows()
    first, second = 0, next(n for n in range(1, 100) if rows[n]["item_id"] != rows[0]["item_id"])
    pixels = np.full((300, 400, 3), 128, np.uint8)
    pixels[50:146, 20:116] = decode(shop.pictures[first])
    pixels[150:246, 250:346] = decode(shop.pictures[second])
    data = jpeg(pixels, form="PNG")
    for number, box in ((first, "0.05,0.1667,0.24,0.32"), (second, "0.625,0.5,0.24,0.32")):
        body = search(client, data, box=box)
        assert body["results"][0]["item_id"] == rows[number]["item_id"]
        assert body["results"][0]["score"] > 0.99
        assert body["box"] == pytest.approx([float(part) for part in box.split(",")])
    assert search(client, data)["box"] is None


def test_box_of_a_turned_photo_is_of_what_is_seen(client):
    """Fractions are of the upright picture, as a page shows it."""
    pixels = decode(picture(3, size=128))
    sideways = Image.Exif()
    sideways[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(buffer, "PNG", exif=sideways)
    box = {"box": "0.5,0,0.5,0.25"}
    turned, upright = search(client, buffer.getvalue(), **box), search(client, jpeg(pixels, form="PNG"), **box)
    assert turned["results"] == upright["results"]


def test_auto_takes_the_first_region_and_says_which(client):
    data = shelf((7, 60, 60), (8, 180, 270))
    regions = client.post("/v1/regions", files={"image": ("p", data)}).json()["regions"]
    assert 1 <= len(regions) <= 5
    assert all(0 < region["score"] <= 1 for region in regions)
    body = search(client, data, box="auto")
    assert body["box"] == regions[0]["box"]
    assert search(client, data, box=",".join(map(str, body["box"])))["results"] == body["results"]


def test_photo_without_an_object_is_searched_whole(client):
    plain = jpeg(np.full((60, 80, 3), 90, np.uint8))
    assert client.post("/v1/regions", files={"image": ("p", plain)}).json() == {"regions": []}
    auto, whole = search(client, plain, box="auto"), search(client, plain)
    assert auto["box"] == [0, 0, 1, 1]
    assert auto["results"] == whole["results"]


def test_regions_take_a_photo_and_nothing_else(client):
    photo = {"image": ("p", picture(1))}
    assert "'k' is unknown" in check_problem(client.post("/v1/regions", files=photo, data={"k": 3}), 422)
    assert "'k' is unknown" in check_problem(client.post("/v1/regions?k=3", files=photo), 422)
    check_problem(client.post("/v1/regions", files={"image": ("p", b"x")}), 415)


def test_thumbnail_is_the_one_of_the_bundle(client, shop):
    for row, picture_ in zip(shop.rows(), shop.pictures, strict=True):
        response = client.get("/v1/images/" + quote(row["image_id"], safe=""))
        assert response.content == picture_
        assert response.headers["content-type"] == "image/jpeg"
        assert response.headers["x-content-type-options"] == "nosniff"


def test_thumbnail_is_not_sent_twice(client, shop):
    path = "/v1/images/" + quote(shop.rows()[0]["image_id"], safe="")
    first = client.get(path)
    for known in (first.headers["etag"], "*", f'"other", W/{first.headers["etag"]}'):
        again = client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_only_a_url_that_names_the_bundle_is_cached_for_ever(client, shop):
    path = "/v1/images/" + quote(shop.rows()[0]["image_id"], safe="")
    bundle_id = client.get("/v1/bundle").json()["bundle_id"]
    assert "immutable" in client.get(path, params={"v": bundle_id}).headers["cache-control"]
    for query in ({}, {"v": "other"}):
        assert "immutable" not in client.get(path, params=query).headers["cache-control"]


@pytest.mark.parametrize(
    "image_id",
    ["../../etc/passwd", "/etc/passwd", "/etc/passwd#1", "items.arrow", "..\\..\\x", "", "img", "\0", "img/000", "%2e"],
)
def test_image_id_is_looked_up_and_never_opened(client, image_id):
    response = client.get("/v1/images/" + quote(image_id, safe=""))
    check_problem(response, 404)
    assert b"root:" not in response.content


def test_openapi_describes_the_bodies_and_the_parameters(client):
    paths = client.get("/openapi.json").json()["paths"]
    for content in paths["/v1/search"]["post"]["requestBody"]["content"].values():
        assert {"image", "k", "category", "price_max", "in_stock", "box"} <= content["schema"]["properties"].keys()
        assert content["schema"]["required"] == ["image"]
    names = {parameter["name"] for parameter in paths["/v1/items/{item_id}/similar"]["get"]["parameters"]}
    assert {"item_id", "k", "brand"} <= names
    assert client.get("/docs").status_code == 404


def test_whole_photos_have_a_confidence(client, tmp_path: Path):
    steps = Confidence(
        margin_weight=0.0,
        starts=[-1.0, 0.999],
        right=[0.2, 0.9],
        low=[0.1, 0.8],
        high=[0.3, 1.0],
        least_score=0.999,
        false_alarms=0.1,
        queries=100,
        products=20,
    )
    write = lambda folder: (folder / CONFIDENCE).write_text(steps.to_json())  # noqa: E731
    shop = write_bundle(tmp_path / "bundle", catalogue(20), further=write)
    sure = {"right": 0.9, "low": 0.8, "high": 1.0, "in_catalogue": True}
    unsure = {"right": 0.2, "low": 0.1, "high": 0.3, "in_catalogue": False}
    with TestClient(create_app(shop.root, ServeSettings(cache_mib=0))) as other:
        assert search(other, shop.pictures[3])["confidence"] == sure
        assert search(other, picture(77_777))["confidence"] == unsure
        batch = other.post("/v1/search/batch", files=files(shop.pictures[3], picture(77_777))).json()
        assert [one["answer"]["confidence"] for one in batch["answers"]] == [sure, unsure]
        for fields in ({"offset": 1}, {"box": "0,0,0.5,0.5"}, {"in_stock": "true"}, {"dedupe": "parent"}, {"k": 1}):
            assert search(other, shop.pictures[3], **fields)["confidence"] is None, fields
        item = shop.rows()[3]["item_id"]
        assert similar(other, item).json()["confidence"] is None
    assert search(client, picture(1))["confidence"] is None, "this bundle has none"
