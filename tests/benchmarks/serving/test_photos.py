"""Requests that carry photos."""

from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

from benchmarks.serving.photos import photo_requests, read_photos
from src.contracts.preprocessing import decode
from tests.search.small_bundle import jpeg, picture


def test_a_number_changes_the_bytes_and_not_the_pixels(client: TestClient) -> None:
    photo = picture(1)
    build = photo_requests([photo, picture(2)])
    sent = []
    for number in (0, 2):
        head, _, body = build(number).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert length == len(body)
        content_type = head.split(b"Content-Type: ")[1].decode()
        assert client.post("/v1/search", content=body, headers={"Content-Type": content_type}).status_code == 200
        sent.append(body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0])
    assert sent[0] != sent[1]
    for data in sent:
        np.testing.assert_array_equal(decode(data), decode(photo))
    assert photo_requests([photo], unique=False)(5).count(photo) == 1


def test_photos_of_a_folder_and_generated_ones(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(np.full((8, 8, 3), number * 20, np.uint8)))
    assert len(set(read_photos(tmp_path, 3))) == 3
    assert read_photos(tmp_path, 9) == read_photos(tmp_path, 4)
    generated = read_photos(None, 2)
    assert decode(generated[0]).shape == (348, 348, 3)
    assert generated[0] != generated[1]
