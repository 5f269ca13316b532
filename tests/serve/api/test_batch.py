import base64

import pytest
from fastapi.testclient import TestClient

from serve.app import create_app
from serve.settings import ServeSettings
from tests.serve.api.test_errors import check_problem
from tests.serve.small_bundle import picture


def files(*photos: bytes):
    return [("image", ("p", data)) for data in photos]


def test_each_photo_has_the_answer_or_the_problem_of_its_own_search(client):
    photos = [picture(1), b"broken", picture(2), picture(1)[:900], picture(1)]
    response = client.post("/v1/search/batch", files=files(*photos), data={"k": 4})
    assert response.status_code == 200
    answers = response.json()["answers"]
    alone = [client.post("/v1/search", files=files(data), data={"k": 4}) for data in photos]
    assert [found.status_code for found in alone] == [200, 415, 200, 422, 200]
    for answer, expected in zip(answers, alone, strict=True):
        if expected.status_code == 200:
            assert answer == {"answer": expected.json(), "problem": None}
        else:
            problem = {**expected.json(), "request_id": response.headers["x-request-id"]}
            assert answer == {"answer": None, "problem": problem}


def test_json_takes_a_list(client):
    images = [base64.b64encode(picture(seed)).decode() for seed in (1, 2)]
    found = client.post("/v1/search/batch", json={"images": images, "k": 3, "box": [0, 0, 0.5, 0.5]}).json()
    form = {"k": 3, "box": "0,0,0.5,0.5"}
    assert found == client.post("/v1/search/batch", files=files(picture(1), picture(2)), data=form).json()


@pytest.mark.parametrize("photos", [0, 17])
def test_number_of_photos_is_bounded(client, photos):
    sent = files(*[picture(1)] * photos) or [("other", ("p", picture(1)))]
    check_problem(client.post("/v1/search/batch", files=sent), 422)
    check_problem(client.post("/v1/search/batch", files=files(*[picture(1)] * 40)), 400)


def test_fields_are_judged_once_for_all(client):
    assert "k='0'" in check_problem(client.post("/v1/search/batch", files=files(picture(1)), data={"k": 0}), 422)


def test_batch_counts_as_its_images(shop):
    with TestClient(create_app(shop.root, ServeSettings(max_in_flight=3))) as client:
        assert client.get("/v1/bundle").json()["limits"]["max_images"] == 3
        assert client.post("/v1/search/batch", files=files(*[picture(1)] * 3)).status_code == 200
        refused = client.post("/v1/search/batch", files=files(*[picture(1)] * 4))
        assert refused.status_code == 422
        # Every place was given back.
        assert client.post("/v1/search/batch", files=files(*[picture(1)] * 3)).status_code == 200
        assert "lookalike_searches_in_flight 0.0" in client.get("/metrics").text
