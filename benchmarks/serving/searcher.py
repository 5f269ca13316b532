"""A bundle's parts without the service: what peers are made of, and the pipeline's own limit."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.contracts.bundle import INDEX, ITEMS_TABLE, open_bundle
from src.contracts.preprocessing import preprocess
from src.export.runtime import open_encoder
from src.index.best_items import search_items
from src.index.faiss_index import FaissIndex

__all__ = ["Searcher"]

_SHOWN = ("image_id", "item_id", "parent_id", "category", "brand", "color", "price", "in_stock")


class Searcher:
    """Decode, embed and search, with the code, the ONNX file and the index that the service has."""

    def __init__(self, bundle: Path, *, encoder_threads: int, runtime: str = "onnxruntime") -> None:
        opened = open_bundle(bundle)
        self._spec = opened.preprocessing
        self._encoder = open_encoder(opened, runtime=runtime, threads=encoder_threads)
        self._index = FaissIndex.load(opened.path(INDEX), **opened.content["index"]["search"])
        table = pq.read_table(opened.path(ITEMS_TABLE))
        self._table = table.select([name for name in _SHOWN if name in table.column_names])
        self._item_of_row = table["item_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)

    def decode(self, photo: bytes) -> np.ndarray:
        """Bytes to uint8 pixels of shape (size, size, 3)."""
        return preprocess(photo, self._spec)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of shape (images, size, size, 3) to float32 vectors of shape (images, dim)."""
        return self._encoder.embed(pixels)

    def search(self, vector: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Scores and rows of the k nearest items."""
        return search_items(self._index, vector, self._item_of_row, k)

    def results(self, vector: np.ndarray, k: int = 10) -> dict[str, list[dict[str, Any]]]:
        """What a service answers."""
        scores, rows = self.search(vector, k)
        items = self._table.take(pa.array(rows, pa.int64())).to_pylist()
        return {"results": [{**item, "score": float(score)} for item, score in zip(items, scores, strict=True)]}
