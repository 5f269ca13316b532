import io

import numpy as np
import pytest
from PIL import Image

from serve.path.box import Box
from src.contracts.preprocessing import decode
from tests.serve.api.test_errors import check_problem
from tests.serve.small_bundle import jpeg, picture


def shelf(*places: tuple[int, int, int]) -> bytes:
    """Pictures of items (seed, top, left) on a dull background, each 96 by 96."""
    pixels = np.full((300, 400, 3), 128, np.uint8)
    pixels += np.random.default_rng(0).integers(0, 12, pixels.shape, dtype=np.uint8)
    for seed, top, left in places:
        pixels[top : top + 96, left : left + 96] = decode(picture(seed))
    return jpeg(pixels, form="PNG")


def search(client, data, **fields):
    response = client.post("/v1/search", files={"image": ("p", data)}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


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
    scores = [region["score"] for region in regions]
    assert all(0 < score <= 1 for score in scores)
    body = search(client, data, box="auto")
    assert body["box"] == regions[0]["box"]
    same = search(client, data, box=str(Box(**dict(zip(("x", "y", "width", "height"), body["box"], strict=True)))))
    assert same["results"] == body["results"]


def test_photo_without_an_object_is_searched_whole(client):
    plain = jpeg(np.full((60, 80, 3), 90, np.uint8))
    assert client.post("/v1/regions", files={"image": ("p", plain)}).json() == {"regions": []}
    auto, whole = search(client, plain, box="auto"), search(client, plain)
    assert auto["box"] == [0, 0, 1, 1]
    assert auto["results"] == whole["results"]


def test_box_belongs_to_photos(client):
    response = client.get("/v1/items/sku%2F002%20ö/similar", params={"box": "0,0,1,1"})
    assert "'box' is unknown" in check_problem(response, 422)
    response = client.post("/v1/search", files={"image": ("p", picture(1))}, data={"box": "10,10,90,90"})
    assert "box='10,10,90,90' must lie within the picture" in check_problem(response, 422)


def test_regions_refuses_what_it_does_not_take(client):
    response = client.post("/v1/regions", files={"image": ("p", picture(1))}, data={"k": 3})
    assert "'k': unknown; none is taken here" in check_problem(response, 422)
    check_problem(client.post("/v1/regions", files={"image": ("p", b"x")}), 415)
