import cv2
import numpy as np
import pytest

from src.shop import open_shop


@pytest.fixture(scope="module")
def gallery_and_queries(tmp_path_factory):
    root = tmp_path_factory.mktemp("shops") / "shop"
    items = open_shop(root, parents=120, seed=0, image_size=64, sessions=0)
    test = [row for row in items.to_pylist() if row["split"] == "test"]

    def read(rows):
        return [cv2.imread(str(root / row["image"])) for row in rows], [row["item_id"] for row in rows]

    gallery, queries = [r for r in test if r["is_gallery"]], [r for r in test if r["is_query"]]
    return read(gallery), read(queries)


def _recall_at_1(describe, gallery_and_queries):
    (gallery, items), (queries, truth) = gallery_and_queries
    g, q = (np.stack([describe(image) for image in images]) for images in (gallery, queries))
    g, q = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (g, q))
    best = (q @ g.T).argmax(axis=1)
    return float(np.mean([items[b] == t for b, t in zip(best, truth, strict=True)]))


def test_colour_alone_does_not_find_the_item(gallery_and_queries):
    def histogram(image):
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        counts = cv2.calcHist([hsv], [0, 1, 2], None, [8, 8, 4], [0, 180, 0, 256, 0, 256]).ravel()
        return np.sqrt(counts)

    assert _recall_at_1(histogram, gallery_and_queries) < 0.2


def test_thumbnails_do_not_find_the_item(gallery_and_queries):
    def thumbnail(image):
        pixels = cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
        return pixels - pixels.mean()

    assert _recall_at_1(thumbnail, gallery_and_queries) < 0.2
