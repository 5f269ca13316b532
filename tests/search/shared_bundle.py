"""The small bundle once more, with its vectors in a Milvus collection."""

from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from src.contracts.bundle import INDEX, open_bundle, staged_bundle
from src.index.milvus_index import MilvusIndex
from tests.search.small_bundle import DIM, SPEC, Shop

PROPERTIES = {"lookalike.encoder_id": "colour-grid", "lookalike.preprocessing": SPEC.hash, "lookalike.digest": "d1"}
ATTRIBUTES = {
    **dict.fromkeys(("parent_id", "category", "brand", "color", "title", "parent_key"), pa.string()),
    "price": pa.float64(),
    "in_stock": pa.bool_(),
    "stars": pa.int64(),
    "made_on": pa.date32(),
    "listed_at": pa.timestamp("us", "UTC"),
    "version": pa.int64(),
    "vector_hash": pa.int64(),
}


def attributes(rows: list[dict]) -> dict[str, list]:
    keys = [f"item {row['item_id']}" if row["parent_id"] is None else f"parent {row['parent_id']}" for row in rows]
    own = {"parent_key": keys, "version": [0] * len(rows), "vector_hash": [0] * len(rows)}
    return {name: [row[name] for row in rows] for name in ATTRIBUTES if name not in own} | own


def share(shop: Shop, root: Path, uri: str, collection: str) -> Path:
    """Load a bundle's rows into a new collection, and write the bundle that names it."""
    rows = shop.rows()
    with MilvusIndex.create(
        uri, collection, dim=DIM, attributes=ATTRIBUTES, kind="FLAT", properties=PROPERTIES
    ) as index:
        index.load([row["image_id"] for row in rows], [row["item_id"] for row in rows], shop.vectors, attributes(rows))
    bundle = open_bundle(shop.root)
    with staged_bundle(root) as draft:
        for file in bundle.content["files"]:
            if file != INDEX:
                (draft.root / file).write_bytes(bundle.path(file).read_bytes())
        index_of = {"backend": "milvus", "collection": collection, "digest": "d1", "rows": len(rows)}
        draft.content |= {**{k: v for k, v in bundle.content.items() if k != "files"}, "index": index_of}
        draft.measured |= bundle.measured
    return root


def new_name() -> str:
    """Of a collection that nobody has: a server may be shared."""
    return f"serving_{uuid4().hex}"
