import io
import struct
import zlib

import pytest
from PIL import Image

from tests.serve.small_bundle import picture

GOOD = picture(5)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header announces many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def check_problem(response, status: int) -> str:
    """The detail, of a response that keeps RFC 9457."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return problem["detail"]


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 415, "empty"),
        (b"hello", 415, "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", 415, "not a JPEG"),
        (b"%PDF-1.7", 415, "not a JPEG"),
        (GOOD[: len(GOOD) // 2], 422, "truncated"),
        (GOOD[:30], 422, ""),
        (b"\xff\xd8\xff\xe0" + bytes(200), 422, ""),
        (bomb(60_000, 60_000), 413, "at most 64,000,000 pixels"),
        (bomb(9_000, 9_000), 413, "9000 x 9000"),
        (bomb(100, 100), 422, "truncated"),
    ],
)
def test_image_that_cannot_be_read_is_told_in_words(client, data, status, words):
    response = client.post("/v1/search", files={"image": ("photo.jpg", data, "image/jpeg")})
    if not words:
        assert response.status_code in (415, 422)
        check_problem(response, response.status_code)
    else:
        assert words in check_problem(response, status)


def test_damaged_images_never_give_a_500(client):
    """Every kind of file, cut and with bytes turned around."""
    image = Image.open(io.BytesIO(GOOD)).resize((24, 24))
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        buffer = io.BytesIO()
        image.save(buffer, form)
        data = buffer.getvalue()
        for place in range(0, len(data), max(1, len(data) // 12)):
            flipped = bytearray(data)
            flipped[place] ^= 0xFF
            for broken in (data[:place], bytes(flipped)):
                status = client.post("/v1/search", files={"image": ("x", broken)}).status_code
                assert status in (200, 413, 415, 422), (form, place)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 3)])
def test_odd_shapes_are_searched(client, size):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(buffer, "PNG")
    assert client.post("/v1/search", files={"image": ("x", buffer.getvalue())}).status_code == 200


@pytest.mark.parametrize("k", ["0", "101", "-1", "1.5", "ten", "", "1e1", "٣", " 5", "99999999999999999999"])
def test_k_outside_its_range_is_422_in_form_and_query(client, k):
    files = {"image": ("photo.jpg", GOOD)}
    assert "from 1 to 100" in check_problem(client.post("/v1/search", files=files, data={"k": k}), 422)
    assert "from 1 to 100" in check_problem(client.post("/v1/search", files=files, params={"k": k}), 422)
    assert "from 1 to 100" in check_problem(client.get("/v1/items/sku%2F002%20ö/similar", params={"k": k}), 422)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"categroy": "shoes"},
            "'categroy' is unknown; allowed are k, q, category, brand, color, price_min, price_max",
        ),
        ({"price_min": "cheap"}, "price_min='cheap' must be a finite number"),
        ({"price_min": "nan"}, "finite"),
        ({"price_max": "inf"}, "finite"),
        ({"price_min": "9", "price_max": "3"}, "price_min=9 is above price_max=3"),
        ({"in_stock": "maybe"}, "true or false"),
        ({"in_stock": ["true", "false"]}, "given 2 times"),
        ({"k": ["1", "2"]}, "given 2 times"),
        ({"category": ""}, "category is empty"),
        ({"x" * 1000: "1"}, "unknown"),
    ],
)
def test_field_that_cannot_work_is_422_and_never_ignored(client, fields, words):
    detail = check_problem(client.post("/v1/search", files={"image": ("photo.jpg", GOOD)}, data=fields), 422)
    assert words in detail
    assert len(detail) < 500
    assert words in check_problem(client.get("/v1/items/sku%2F002%20ö/similar", params=fields), 422)


def test_all_that_is_wrong_is_told_at_once(client):
    fields = {"k": "0", "colour": "red", "in_stock": "x"}
    detail = check_problem(client.post("/v1/search", files={"image": ("p", GOOD)}, data=fields), 422)
    assert all(word in detail for word in ("k='0'", "'colour'", "in_stock='x'"))


def test_k_in_form_and_query_is_given_twice(client):
    response = client.post("/v1/search?k=3", files={"image": ("p", GOOD)}, data={"k": "4"})
    assert "given 2 times" in check_problem(response, 422)


@pytest.mark.parametrize(
    "files",
    [
        [("photo", ("p", GOOD))],
        [("image", ("p", GOOD)), ("image", ("q", GOOD))],
        [("image", ("p", GOOD)), ("mask", ("q", GOOD))],
    ],
)
def test_one_file_named_image_is_asked_for(client, files):
    assert "`image`" in check_problem(client.post("/v1/search", files=files), 422)


def test_image_as_text_is_422(client):
    response = client.post("/v1/search", files={"image": (None, "photo.jpg")})
    assert "`image` is text" in check_problem(response, 422)


@pytest.mark.parametrize("content_type", [None, "text/json", "image/jpeg", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(client, content_type):
    headers = {"content-type": content_type} if content_type else {}
    detail = check_problem(client.post("/v1/search", content=GOOD, headers=headers), 415)
    assert "multipart/form-data" in detail


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"nonsense"),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a--\r\n"),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\nx"),
        ("multipart/form-data; boundary=a", b""),
        ("multipart/form-data; boundary=" + "a" * 5000, b"x"),
    ],
)
def test_malformed_form_is_the_callers_error(client, content_type, body):
    response = client.post("/v1/search", content=body, headers={"content-type": content_type})
    assert response.status_code in (400, 422)
    check_problem(response, response.status_code)


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "unicode_escape", "idna", "punycode", "hex", "no-such"])
def test_text_is_utf_8_whatever_charset_the_sender_names(client, charset):
    """Some codecs raise what others do not, or give half a character, which no answer can hold."""
    body = (
        b'--a\r\nContent-Disposition: form-data; name="category"\r\n\r\n+2AA-\\ud800M\xc3\xb6bel\r\n'
        b'--a\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + GOOD + b"\r\n--a--\r\n"
    )
    headers = {"content-type": f"multipart/form-data; boundary=a; charset={charset}"}
    response = client.post("/v1/search", content=body, headers=headers)
    assert (response.status_code, response.json()["results"]) == (200, [])


def test_text_that_is_not_utf_8_is_refused(client):
    body = b'--a\r\nContent-Disposition: form-data; name="category"\r\n\r\n\xff\r\n--a--\r\n'
    response = client.post("/v1/search", content=body, headers={"content-type": "multipart/form-data; boundary=a"})
    assert "utf-8" in check_problem(response, 400)


def test_too_many_fields_are_refused(client):
    response = client.post("/v1/search", files={"image": ("p", GOOD)}, data={"category": ["a"] * 200})
    assert "too many fields" in check_problem(response, 400)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/search"), ("DELETE", "/v1/bundle"), ("POST", "/"), ("PUT", "/v1/images/x")]
)
def test_wrong_method_is_405_and_says_which(client, method, path):
    response = client.request(method, path)
    assert response.headers["allow"] in check_problem(response, 405)


@pytest.mark.parametrize("path", ["/v1/serach", "/v1/search/", "/static/../settings.py", "/static/page.html", "/%00"])
def test_unknown_path_is_404(client, path):
    check_problem(client.get(path), 404)


def test_request_id_is_kept_if_it_is_harmless(client):
    assert client.get("/livez", headers={"x-request-id": "abc-1.2_X"}).headers["x-request-id"] == "abc-1.2_X"
    for harmful in ("a b", "<script>", "x" * 65, ""):
        given = client.get("/livez", headers={"x-request-id": harmful}).headers["x-request-id"]
        assert given != harmful
        assert len(given) == 32


def test_security_headers_are_on_every_answer(client):
    for path in ("/", "/livez", "/v1/bundle", "/nothing", "/static/page.js"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
