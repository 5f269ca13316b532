import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.preprocessing import decode
from tests.serve.running import PATIENCE, running
from tests.serve.small_bundle import SPEC, picture


def asked(client: TestClient | httpx.Client, data: bytes, item_id: str, **fields: str) -> httpx.Response:
    return client.post("/v1/explain", files={"image": ("p.jpg", data)}, data={"item_id": item_id, **fields})


def test_maps_are_what_a_loop_over_the_cells_gives(client, shop):
    """The same maps as with every cell covered by hand, one picture at a time, over the service's own search."""
    row = shop.rows()[3]
    photo = picture(77)
    answer = asked(client, photo, row["item_id"])
    assert answer.status_code == 200, answer.text
    explained = answer.json()
    assert explained["item_id"] == row["item_id"]
    assert np.shape(explained["query"]["losses"]) == np.shape(explained["item"]["losses"]) == (7, 7)
    assert explained["query"]["area"] == [0, 0, 1, 1]

    def score(pixels: np.ndarray) -> float:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        found = client.post("/v1/search", files={"image": buffer.getvalue()}, data={"k": "100"}).json()["results"]
        return next(one["score"] for one in found if one["item_id"] == row["item_id"])

    small = np.asarray(Image.fromarray(decode(photo)).resize((SPEC.size, SPEC.size), Image.Resampling.BICUBIC))
    whole = score(small)
    assert explained["score"] == pytest.approx(whole, abs=1e-5)
    edges = np.linspace(0, SPEC.size, 8).round().astype(int)
    for y, x in ((0, 0), (2, 5), (6, 3)):
        hidden = small.copy()
        hidden[edges[y] : edges[y + 1], edges[x] : edges[x + 1]] = small.reshape(-1, 3).mean(axis=0).round()
        # Another image of the item may be the nearer one to the covered photo: the score can only be higher.
        assert explained["query"]["losses"][y][x] >= whole - score(hidden) - 1e-5


def test_nearest_image_of_the_item_is_explained(client, shop):
    for number in (3, 40, 90):
        row = shop.rows()[number]
        explained = asked(client, shop.pictures[number], row["item_id"]).json()
        assert explained["image_id"] == row["image_id"]
        assert explained["score"] == pytest.approx(1, abs=1e-5)
        # The two are the same picture: what makes them alike is the same.
        np.testing.assert_allclose(explained["query"]["losses"], explained["item"]["losses"], atol=1e-5)


def test_another_item_changes_the_map(client, shop):
    maps = [np.ravel(asked(client, picture(5), row["item_id"]).json()["query"]["losses"]) for row in shop.rows()[:4]]
    assert max(np.corrcoef(maps)[0, 1:]) < 0.9


def test_box_is_explained_in_the_whole_photos_fractions(client, shop):
    item = shop.rows()[0]["item_id"]
    wide = io.BytesIO()
    canvas = Image.new("RGB", (400, 200), (120, 120, 120))
    canvas.paste(Image.open(io.BytesIO(shop.pictures[0])).resize((200, 200)), (200, 0))
    canvas.save(wide, "PNG")
    part = asked(client, wide.getvalue(), item, box="0.5,0,0.5,1").json()
    assert part["query"]["area"] == [0.5, 0, 0.5, 1]
    assert part["score"] > asked(client, wide.getvalue(), item).json()["score"]
    # Without a box, the encoder sees the square in the middle.
    assert asked(client, wide.getvalue(), item).json()["query"]["area"] == [0.25, 0, 0.5, 1]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"item_id": "nothing"}, 404, "no item 'nothing'"),
        ({"item_id": ""}, 422, "item_id"),
        ({"item_id": "x", "k": "3"}, 422, "item_id"),
        ({"item_id": ["x", "y"]}, 422, "item_id"),
        ({"item_id": "x", "box": "1,2,3"}, 422, "box"),
        ({"item_id": "x", "box": "0.5,0.5,0.9,0.1"}, 422, "box"),
        ({"item_id": "x", "box": "nan,0,1,1"}, 422, "box"),
    ],
)
def test_what_cannot_be_explained_is_told_in_words(client, fields, status, words):
    answer = client.post("/v1/explain", files={"image": ("p.jpg", picture(5))}, data=fields)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


def test_damaged_photo_is_the_callers_error(client, shop):
    assert asked(client, picture(5)[:400], shop.rows()[0]["item_id"]).status_code == 422


def test_explanations_have_a_limit_of_their_own_and_searches_go_on(shop):
    item_id = shop.rows()[0]["item_id"]
    with running(["--bundle", str(shop.root)]) as started, httpx.Client(base_url=started.url) as client:
        ends = time.monotonic() + PATIENCE
        statuses: set[int] = set()
        with ThreadPoolExecutor(4) as pool:
            while not {200, 503} <= statuses:
                assert time.monotonic() < ends, statuses
                answers = [pool.submit(asked, client, picture(5), item_id) for _ in range(4)]
                assert client.post("/v1/search", files={"image": picture(5)}).status_code == 200
                refused = [answer.result() for answer in answers if answer.result().status_code == 503]
                statuses |= {answer.result().status_code for answer in answers}
        assert statuses == {200, 503}
        assert {answer.headers["retry-after"] for answer in refused} <= {"2"}
        assert asked(client, picture(5), item_id).status_code == 200


def test_slow_upload_keeps_no_place(shop):
    begun, go_on = threading.Event(), threading.Event()

    def slow_form():
        yield b'--a\r\nContent-Disposition: form-data; name="item_id"\r\n\r\n'
        begun.set()  # What came before has been sent.
        go_on.wait(PATIENCE)
        yield b"x\r\n--a--\r\n"

    with running(["--bundle", str(shop.root)]) as started, httpx.Client(base_url=started.url) as client:
        content = {"content": slow_form(), "headers": {"content-type": "multipart/form-data; boundary=a"}}
        first = threading.Thread(target=httpx.post, args=[f"{started.url}/v1/explain"], kwargs=content)
        first.start()
        try:
            assert begun.wait(PATIENCE)
            assert asked(client, picture(5), shop.rows()[0]["item_id"]).status_code == 200
        finally:
            go_on.set()
            first.join()


def test_explanation_that_takes_too_long_is_given_up(shop):
    with TestClient(create_app(shop.root, ServeSettings(explain_seconds=1e-6))) as client:
        assert asked(client, picture(5), shop.rows()[0]["item_id"]).status_code == 504
