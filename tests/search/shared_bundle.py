"""The small bundle once more, with its vectors in a Milvus collection."""

from pathlib import Path
from uuid import uuid4

from src.contracts.bundle import INDEX, open_bundle, staged_bundle
from src.index.milvus_catalogue import ENCODER_ID, PREPROCESSING, STATE, WHOLE, catalogue_attributes, catalogue_rows
from src.index.milvus_index import MilvusIndex
from tests.search.small_bundle import DIM, SPEC, Shop

PROPERTIES = {ENCODER_ID: "colour-grid", PREPROCESSING: SPEC.hash, STATE: WHOLE}


def share(shop: Shop, root: Path, uri: str, collection: str) -> Path:
    """Load a bundle's rows into a new collection, and write the bundle that names it."""
    table = shop.table
    attributes = catalogue_attributes(table.schema)
    with MilvusIndex.create(
        uri, collection, dim=DIM, attributes=attributes, kind="FLAT", properties=PROPERTIES
    ) as index:
        ids = (table[name].to_pylist() for name in ("image_id", "item_id"))
        index.load(*ids, shop.vectors, catalogue_rows(table, shop.vectors))
    bundle = open_bundle(shop.root)
    with staged_bundle(root) as draft:
        for file in bundle.content["files"]:
            if file != INDEX:
                (draft.root / file).write_bytes(bundle.path(file).read_bytes())
        index_of = {"backend": "milvus", "collection": collection, "search": {}, "rows": len(table)}
        draft.content |= {**{k: v for k, v in bundle.content.items() if k != "files"}, "index": index_of}
        draft.measured |= bundle.measured
    return root


def new_name() -> str:
    """Of a collection that nobody has: a server may be shared."""
    return f"serving_{uuid4().hex}"
