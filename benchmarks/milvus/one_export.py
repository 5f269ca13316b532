"""One export of a simulated gallery, as a process that can be killed: ... URI NAME ROWS DIM RELEASE."""

import os
import sys

import numpy as np
import pyarrow as pa

from src.contracts.settings import IndexSettings
from src.export.milvus_export import export_to_milvus, publish
from src.index.simulated import Clustered

__all__ = ["gallery", "main"]


def gallery(rows: int, dim: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """An items table, its vectors, and held-out queries."""
    simulated = Clustered(rows, dim)
    row = np.arange(rows)
    items = pa.table(
        {
            "image_id": [f"image-{number}" for number in row],
            "item_id": [f"item-{number // 2}" for number in row],
            "parent_id": [f"parent-{number // 6}" if number % 3 else None for number in row],
            "category": [f"category-{cluster % 20}" for cluster in simulated.clusters()],
            "price": np.random.default_rng(0).uniform(1, 500, rows).round(2),
            "in_stock": row % 5 > 0,
        }
    )
    return items, simulated.vectors(), simulated.queries(100)[0]


def main() -> None:
    """Export and publish."""
    uri, name, rows, dim, release = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    items, vectors, queries = gallery(rows, dim)
    print("begun", flush=True)
    settings = IndexSettings(backend="milvus", uri=uri, collection=name, kind="HNSW", min_recall=0.9)
    made = export_to_milvus(
        items, vectors, queries, settings=settings, encoder_id=release, preprocessing="none", items_hash=f"{rows}x{dim}"
    )
    publish(made, settings, release)
    print(made.collection, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
