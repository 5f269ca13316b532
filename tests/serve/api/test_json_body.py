"""A search as JSON says what it says as a form."""

import base64
import json

import pytest

from tests.serve.api.test_errors import check_problem
from tests.serve.small_bundle import picture

GOOD = picture(5)
TEXT = base64.b64encode(GOOD).decode()


def test_json_is_answered_as_the_form_is(client):
    fields = {"k": 7, "category": ["shoes", "bags"], "price_max": 150.5, "in_stock": True, "box": [0.1, 0.1, 0.5, 0.6]}
    in_json = client.post("/v1/search", json={"image": TEXT, **fields})
    form = {**fields, "in_stock": "true", "box": "0.1,0.1,0.5,0.6"}
    as_form = client.post("/v1/search", files={"image": ("p", GOOD)}, data=form)
    assert in_json.status_code == 200
    assert in_json.json() == as_form.json()
    assert in_json.json()["results"]


def test_large_photo_is_read_as_well(client):
    padded = base64.b64encode(GOOD + bytes(500_000)).decode()  # Decoders stop at the end of the picture.
    found, expected = (client.post("/v1/search", json={"image": text}).json() for text in (padded, TEXT))
    assert found["results"] == expected["results"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b"[]", 400, "no JSON object"),
        (b"[" * 1_500, 400, "too deep"),
        (b'{"k": ' + b"9" * 5000 + b"}", 400, "no JSON"),
        (b"{}", 422, "one file is expected"),
        (b'{"image": 7}', 422, "must be base64"),
        (b'{"image": "%%%"}', 422, "not base64"),
        (b'{"image": "data:image/png;base64,AAAA"}', 422, "not base64"),
        (b'{"image": "\\u00e9"}', 422, "not base64"),
        (b'{"image": ""}', 415, "empty"),
        (b'{"image": "AAAA"}', 415, "not a JPEG"),
        (b'{"image": "AAAA", "image": "AAAA"}', 422, "one file is expected"),
        (b'{"image": "AAAA", "k": null}', 422, "'k' is null"),
        (b'{"image": "AAAA", "k": {"a": 1}}', 422, "'k' is nested"),
        (b'{"image": "AAAA", "k": [[1]]}', 422, "'k' is nested"),
        (b'{"image": "AAAA", "k": 1, "k": 2}', 422, "k is given 2 times"),
        (b'{"image": "AAAA", "k": 1.5}', 422, "k='1.5'"),
        (b'{"image": "AAAA", "k": true}', 422, "k='true'"),
        (b'{"image": "AAAA", "price_min": NaN}', 422, "finite"),
        (b'{"image": "AAAA", "colour": "red"}', 422, "'colour' is unknown"),
        (b'{"image": "AAAA", "category": "\\ud800"}', 422, "surrogate"),
        (b'{"image": "AAAA", "\\ud800": "x"}', 422, "surrogate"),
        (b'{"k": [' + b"{}," * 2_000 + b"{}]}", 400, "over 2,000 members"),
        (json.dumps({f"f{number}": 1 for number in range(101)}).encode(), 400, "at most 100"),
        (json.dumps({"category": ["x"] * 101}).encode(), 400, "at most 100"),
        (json.dumps({"category": "x" * 5_000}).encode(), 422, "at most 4,096"),
        (b'{"image": "AAAA", "category": "a\\u0000"}', 422, "category holds a NUL"),
        (b'{"image": "AAAA", "q": "\\u0000"}', 422, "q holds a NUL"),
    ],
)
def test_body_that_cannot_work_is_the_callers_error(client, body, status, words):
    response = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert words in check_problem(response, status)
