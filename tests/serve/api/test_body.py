"""Forms and JSON: what is read of them, and what is refused."""

import base64
import json

import numpy as np
import pytest
from starlette.requests import Request

from serve.api.body import read_photos
from serve.edge.admission import Admission
from serve.errors import Problem
from serve.metrics import Metrics
from tests.search.small_bundle import jpeg, picture
from tests.serve.problems import check_problem
from tests.serve.raw_http import END, FORM, PART

GOOD = picture(5)
TEXT = base64.b64encode(GOOD).decode()


def best(response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["results"][0]["image_id"])


def part(disposition: str, data: bytes) -> bytes:
    return f"--a\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize(
    "disposition",
    [
        'name="image"',
        'name="image"; filename=""',
        'name="image"; filename="photo.jpg"',
        "name=\"image\"; filename*=UTF-8''%e2%82%ac.jpg",
        "filename*=UTF-8''a.jpg; name=\"image\"",
        'filename="a.jpg"; name="image"',
        "name=image; filename=a.jpg",
        'name="image"; filename="filename=.jpg"',
        'name="image"; filename="größe.jpg"',
    ],
)
def test_part_named_image_is_the_photo_whatever_its_filename(client, shop, disposition):
    body = part('name="k"', b"3") + part(disposition, shop.pictures[0]) + b"--a--\r\n"
    response = client.post("/v1/search", content=body, headers=FORM)
    assert best(response) == shop.rows()[0]["image_id"]
    assert response.json()["k"] == 3


def test_photo_of_ten_megabytes_needs_no_disk(client, monkeypatch):
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", lambda _: pytest.fail("went to the disk"))
    pixels = np.random.default_rng(0).integers(0, 256, (1800, 1900, 3), dtype=np.uint8)
    data = jpeg(pixels, form="BMP")
    assert len(data) > 10_000_000
    best(client.post("/v1/search", files={"image": ("p", data)}))


def test_json_is_answered_as_the_form_is(client):
    fields = {"k": 7, "category": ["shoes", "bags"], "price_max": 150.5, "in_stock": True, "box": [0.1, 0.1, 0.5, 0.6]}
    in_json = client.post("/v1/search", json={"image": TEXT, **fields})
    form = {**fields, "in_stock": "true", "box": "0.1,0.1,0.5,0.6"}
    as_form = client.post("/v1/search", files={"image": ("p", GOOD)}, data=form)
    assert in_json.status_code == 200
    assert in_json.json() == as_form.json()
    assert in_json.json()["results"]


def test_large_json_is_read_as_well(client):
    padded = base64.b64encode(GOOD + bytes(500_000)).decode()  # Decoders stop at the end of the picture.
    found, expected = (client.post("/v1/search", json={"image": text}).json() for text in (padded, TEXT))
    assert found["results"] == expected["results"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
@pytest.mark.parametrize("content_type", [FORM["Content-Type"], "application/json"])
def test_encoded_body_is_415(client, encoding, content_type):
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}
    told = check_problem(client.post("/v1/search", content=PART + GOOD + END, headers=headers), 415)
    assert encoding in told
    assert "Content-Encoding" in told


def test_identity_is_no_encoding(client):
    best(client.post("/v1/search", content=PART + GOOD + END, headers={**FORM, "Content-Encoding": "Identity"}))


@pytest.mark.parametrize("content_type", [None, "text/json", "image/jpeg", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(client, content_type):
    headers = {"content-type": content_type} if content_type else {}
    told = check_problem(client.post("/v1/search", content=GOOD, headers=headers), 415)
    assert "multipart/form-data" in told


def test_media_type_is_read_in_any_case_and_with_parameters(client):
    headers = {"Content-Type": "Application/JSON ; charset=utf-8"}
    best(client.post("/v1/search", content=json.dumps({"image": TEXT}), headers=headers))


@pytest.mark.parametrize("names", [["photo"], ["image", "image"], ["image", "mask"]])
def test_form_has_one_file_and_it_is_named_image(client, names):
    check_problem(client.post("/v1/search", files=[(name, ("p", GOOD)) for name in names]), 422)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"nonsense"),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a--\r\n"),
        ("multipart/form-data; boundary=a", part("name=image; filename=a", b"x")),
        ("multipart/form-data; boundary=a", PART + GOOD),
        ("multipart/form-data; boundary=a", b""),
        ("multipart/form-data; boundary=" + "a" * 5000, b"x"),
    ],
)
def test_malformed_form_is_400(client, content_type, body):
    response = client.post("/v1/search", content=body, headers={"content-type": content_type})
    assert "the form" in check_problem(response, 400)


def test_form_is_bounded_in_fields_and_in_their_size(client):
    files = {"image": ("p", GOOD)}
    many = client.post("/v1/search", files=files, data={"category": ["a"] * 200})
    assert "Too many fields" in check_problem(many, 400)
    long = client.post("/v1/search", files=files, data={"q": "x" * 5000})
    assert "maximum size" in check_problem(long, 400)


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "unicode_escape", "idna", "punycode", "hex", "no-such"])
def test_text_is_utf_8_whatever_charset_the_sender_names(client, charset):
    """Some codecs raise what others do not, or give half a character, which no answer can hold."""
    body = part('name="category"', "Möbel & more".encode()) + PART + GOOD + END
    headers = {"content-type": f"{FORM['Content-Type']}; charset={charset}"}
    response = client.post("/v1/search", content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert {result["category"] for result in response.json()["results"]} == {"Möbel & more"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b"[]", 400, "no object"),
        (b"[" * 1_500, 400, "no JSON"),
        (b'{"k": ' + b"9" * 5000 + b"}", 400, "no JSON"),
        (b'{"image": "AAAA", "price_min": NaN}', 400, "NaN"),
        (b'{"image": "AAAA", "price_min": -Infinity}', 400, "-Infinity"),
        (b'{"image": "AAAA", "image": "AAAA"}', 400, "'image' is given twice"),
        (b'{"image": "AAAA", "k": 1, "k": 2}', 400, "'k' is given twice"),
        (b'{"k": [' + b"{}," * 2_000 + b"{}]}", 400, "more than 2,000 members"),
        (b"{}", 422, "no file named `image`"),
        (b'{"image": ""}', 422, "no file named `image`"),
        (b'{"image": 7}', 422, "must be base64"),
        (b'{"image": ["AAAA"]}', 422, "must be base64"),
        (b'{"image": "%%%"}', 422, "no base64"),
        (b'{"image": "data:image/png;base64,AAAA"}', 422, "no base64"),
        (b'{"image": "\\u00e9"}', 422, "no base64"),
        (b'{"image": "AAAA"}', 415, "not a JPEG"),
        (b'{"image": "AAAA", "k": null}', 422, "k: "),
        (b'{"image": "AAAA", "k": {"a": 1}}', 422, "k: "),
        (b'{"image": "AAAA", "k": [[1]]}', 422, "k="),
        (b'{"image": "AAAA", "k": 1.5}', 422, "k='1.5'"),
        (b'{"image": "AAAA", "k": true}', 422, "k='True'"),
        (b'{"image": "AAAA", "colour": "red"}', 422, "'colour' is unknown"),
        (b'{"image": "AAAA", "category": "\\ud800"}', 422, "unicode"),
        (b'{"image": "AAAA", "\\ud800": "x"}', 422, "unicode"),
    ],
)
def test_json_that_cannot_work_is_an_error_of_the_caller(client, body, status, words):
    response = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert words in check_problem(response, status)


def test_batch_takes_a_list_in_json(client):
    images = [base64.b64encode(picture(seed)).decode() for seed in (1, 2)]
    found = client.post("/v1/search/batch", json={"images": images, "k": 3, "box": [0, 0, 0.5, 0.5]}).json()
    files = [("image", ("p", picture(seed))) for seed in (1, 2)]
    form = {"k": 3, "box": "0,0,0.5,0.5"}
    assert found == client.post("/v1/search/batch", files=files, data=form).json()
    assert "no file" in check_problem(client.post("/v1/search/batch", json={"image": images[0]}), 422)


@pytest.mark.anyio
@pytest.mark.parametrize(("length", "read"), [("65537", False), ("", False), ("65536", True)])
async def test_large_body_is_refused_before_it_is_read_where_no_place_is_free(length, read):
    """A small one is read to its end, so that the connection can be used again."""
    seen = []

    async def receive() -> dict:
        seen.append(True)
        return {"type": "http.request", "body": PART + GOOD + END, "more_body": False}

    headers = [(b"content-type", FORM["Content-Type"].encode()), (b"content-length", length.encode())]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)
    admission = Admission(limit=1, standing=1, metrics=Metrics())
    with admission.place():
        if read:
            assert (await read_photos(request, admission, most=1)).photos == [GOOD]
        else:
            with pytest.raises(Problem) as caught:
                await read_photos(request, admission, most=1)
            assert caught.value.status == 503
    assert bool(seen) == read
