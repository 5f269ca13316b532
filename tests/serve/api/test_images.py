from urllib.parse import quote

import pyarrow as pa
import pyarrow.ipc as ipc
import pytest

from serve.bundle.lookup import IdLookup


def test_every_image_is_the_one_of_the_bundle(client, shop):
    for row, jpeg in zip(shop.rows(), shop.pictures, strict=True):
        response = client.get("/v1/images/" + quote(row["image_id"], safe=""))
        assert response.content == jpeg
        assert response.headers["content-type"] == "image/jpeg"
        assert response.headers["x-content-type-options"] == "nosniff"


def test_image_is_not_sent_twice(client, shop):
    path = "/v1/images/" + quote(shop.rows()[0]["image_id"], safe="")
    first = client.get(path)
    again = client.get(path, headers={"if-none-match": first.headers["etag"]})
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
    [
        "../../etc/passwd",
        "/etc/passwd",
        "/etc/passwd#1",
        "items.parquet",
        "..\\..\\x",
        "",
        "img",
        "\0",
        "img/000",
        "%2e",
    ],
)
def test_id_is_looked_up_and_never_opened(client, image_id):
    response = client.get("/v1/images/" + quote(image_id, safe=""))
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert b"root:" not in response.content


def test_lookup_finds_all_rows_of_any_id():
    ids = ["b", "a", "ä", "b", "", "a/b", "z", "𝄞", "�", "b"]
    lookup = IdLookup(pa.array(ids, pa.large_string()))
    for name in ids:
        assert lookup.rows(name).tolist() == [row for row, other in enumerate(ids) if other == name]
    for name in ("c", "A", "a/", "zz", "\U0010ffff"):
        assert lookup.rows(name).tolist() == []
    assert IdLookup(pa.array([], pa.large_string())).rows("a").tolist() == []


def test_thumbnails_are_mapped_not_read(shop):
    mapped = pa.memory_map(str(shop.root / "thumbnails.arrow"))
    before = pa.total_allocated_bytes()
    table = ipc.open_file(mapped).read_all()
    assert table.num_rows == 120
    assert pa.total_allocated_bytes() == before
    mapped.close()
