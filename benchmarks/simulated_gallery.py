"""The searched half of a bundle over a simulated catalogue of any size: items, words, pictures, index."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from PIL import Image

from src.contracts.bundle import INDEX, ITEMS_ARROW, THUMBNAILS, WORDS
from src.contracts.tables import validate_items
from src.index.faiss_index import FaissIndex
from src.index.simulated import Clustered
from src.search.items import Items
from src.search.items_file import write_items
from src.search.words import write_words

__all__ = ["write_simulated_gallery"]

_PICTURE_BYTES = 700


def write_simulated_gallery(folder: Path, items: int, dim: int) -> dict[str, Any]:
    """Write the files into a bundle's folder, and return what the manifest says of them.

    Args:
        folder: the bundle's.
        items: number of items, with one image each.
        dim: dimension of the embeddings, which are simulated clusters.
    """
    table = validate_items(_table(items))
    write_items(folder / ITEMS_ARROW, table)
    start = time.perf_counter()
    write_words(folder / WORDS, Items.open(folder / ITEMS_ARROW))
    print(f"{WORDS} written in {time.perf_counter() - start:.0f} s", flush=True)
    _write_pictures(folder / THUMBNAILS, table)
    start = time.perf_counter()
    index = FaissIndex.build(Clustered(items, dim).vectors(), layout="hnsw_sq8", m=16, ef_construction=80)
    print(f"index built in {time.perf_counter() - start:.0f} s", flush=True)
    index.save(folder / INDEX)
    return {"dim": dim, "index": {"layout": "hnsw_sq8", "search": index.effort, "vectors": items}}


def _table(items: int) -> pa.Table:
    rng = np.random.default_rng(0)
    categories = pa.array([f"category {number}" for number in range(40)])
    brands = pa.array([f"brand {number}" for number in range(5000)])
    syllables = np.array([c + v for c in "bdfghklmnprstvwz" for v in "aeiou"])
    words = np.array(["".join(syllables[rng.integers(0, len(syllables), rng.integers(2, 5))]) for _ in range(20_000)])
    titles = words[rng.zipf(1.2, (items, 8)) % 20_000]
    order = rng.permutation(items)
    return pa.table(
        {
            "image_id": [f"images/{number:08d}.jpg" for number in order],
            "item_id": [f"sku-{number:08d}" for number in order],
            "parent_id": [f"product-{number // 3:08d}" for number in order],
            "image": [f"s3://catalogue/images/{number:08d}.jpg" for number in order],
            "category": categories.take(pa.array(rng.integers(0, 40, items))),
            "brand": brands.take(pa.array(rng.zipf(1.3, items) % 5000)),
            "color": categories.take(pa.array(rng.integers(0, 12, items))),
            "price": pa.array(np.round(100 * rng.random(items), 2), mask=rng.random(items) < 0.05),
            "in_stock": rng.random(items) < 0.8,
            "listed_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * items, pa.timestamp("us", "UTC")),
            "title": [" ".join(row) for row in titles],
        }
    )


def _write_pictures(path: Path, table: pa.Table) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    part = path.with_suffix(".jpg")
    Image.fromarray(pixels).save(part)
    jpeg = part.read_bytes().ljust(_PICTURE_BYTES, b"\0")
    part.unlink()
    ids = table["image_id"].cast(pa.large_string())
    pictures = pa.table({"image_id": ids, "jpeg": pa.array([jpeg] * len(ids), pa.binary())})
    with ipc.new_file(path, pictures.schema) as writer:
        writer.write_table(pictures, max_chunksize=4096)
