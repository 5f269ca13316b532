"""Bundles with an encoder that costs nothing, for what is above it."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import simplejpeg

from src.contracts.preprocessing import decode
from src.contracts.tables import ITEMS, validate_items
from src.index.faiss_index import FaissIndex
from src.search.gallery import Gallery
from src.search.items import Items
from src.search.trending import Trending

DIM = 12
BASE = [f"base-{number}" for number in range(6)]


def picture(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    return simplejpeg.encode_jpeg(noise, quality=90)


class Searcher(SimpleNamespace):
    """What live changes need of a `src.search.searcher.Searcher`.

    Attributes:
        embedded: pictures that were embedded.
        refused: pictures that the encoder makes nothing of.
    """

    def __init__(self, *, bundle_id: str = "one", salt: int = 0, items: list[str] = BASE) -> None:
        rows = [
            {"image_id": f"{name}/{view}", "item_id": name, "image": "", "brand": "old", "price": 1.0, "in_stock": True}
            for name in items
            for view in range(2)
        ]
        self.embedded: list[bytes] = []
        self.refused: set[bytes] = set()
        self.salt = salt
        self.dim = DIM
        self.bundle = SimpleNamespace(bundle_id=bundle_id)
        vectors = np.array([self.vector(row["image_id"].encode()) for row in rows], np.float32).reshape(-1, DIM)
        self.gallery = Gallery(
            index=FaissIndex.build(vectors, layout="exact"),
            items=Items.of_table(validate_items(pa.Table.from_pylist(rows, schema=ITEMS))),
            words=None,
            trending=Trending({}),
        )

    def pixels(self, data: bytes) -> np.ndarray:
        decode(data)
        self.embedded.append(data)
        if data in self.refused:
            return np.zeros((2, 2, 3), np.uint8)
        return self._pixels(data)

    def embed_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return self._embed(pixels)

    def vector(self, data: bytes) -> np.ndarray:
        """The embedding of a picture."""
        return self._embed(self._pixels(data)[None])[0]

    def _pixels(self, data: bytes) -> np.ndarray:
        return np.frombuffer(hashlib.sha256(data).digest()[:DIM], np.uint8).reshape(2, 2, 3)

    def _embed(self, pixels: np.ndarray) -> np.ndarray:
        numbers = pixels.reshape(len(pixels), DIM).astype(np.float32)
        vectors = np.roll(numbers - 127.5, self.salt, axis=1)
        vectors[~numbers.any(axis=1)] = np.nan
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
