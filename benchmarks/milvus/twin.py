"""One simulated catalogue as two bundles: with a FAISS index, and with its vectors in Milvus."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np

from benchmarks.simulated_gallery import write_simulated_gallery
from src.contracts.bundle import ENCODER, GOLDEN, INDEX, ITEMS_ARROW, open_bundle, staged_bundle
from src.index.milvus_catalogue import ENCODER_ID, PREPROCESSING, STATE, WHOLE, catalogue_attributes, catalogue_rows
from src.index.milvus_index import MilvusIndex
from src.index.simulated import Clustered
from src.search.items import Items

__all__ = ["Twins", "write_twins"]

_BATCH = 10_000


@dataclass(frozen=True)
class Twins:
    """Two bundles of one catalogue.

    Attributes:
        faiss: the one with an index.
        milvus: the one that names a collection.
        collection: its name.
        items: ids of the items, one image each, in the order of `vectors`.
        vectors: float32 of shape (rows, dim).
    """

    faiss: Path
    milvus: Path
    collection: str
    items: list[str]
    vectors: np.ndarray


def write_twins(source: Path, folder: Path, *, rows: int, uri: str, timeout: float = 60.0) -> Twins:
    """Write both, and load the collection.

    Args:
        source: a bundle whose encoder they get.
        folder: where they are made.
        rows: items, with one image each.
        uri: of Milvus.
        timeout: seconds of a call of it.
    """
    own = open_bundle(source)
    content = {name: value for name, value in own.content.items() if name not in ("files", "index", "catalogue")}
    catalogue = {"name": "simulated", "images": rows, "items": rows}
    faiss, milvus = folder / "faiss", folder / "milvus"
    with staged_bundle(faiss) as draft:
        for name in (ENCODER, GOLDEN):
            shutil.copy(own.path(name), draft.root / name)
        draft.content |= {**content, **write_simulated_gallery(draft.root, rows, int(content["dim"]))}
        draft.content |= {"catalogue": catalogue}
    table, vectors = Items.open(faiss / ITEMS_ARROW).table, Clustered(rows, int(content["dim"])).vectors()
    collection = f"twin_{uuid4().hex}"
    with MilvusIndex.create(
        uri,
        collection,
        dim=vectors.shape[1],
        attributes=catalogue_attributes(table.schema),
        properties={
            ENCODER_ID: content["encoder_id"],
            PREPROCESSING: own.preprocessing.hash,
            STATE: WHOLE,
        },
        timeout=timeout,
        m=16,  # As `write_simulated_gallery` builds its graph.
        ef_construction=80,
    ) as index:
        for start in range(0, rows, _BATCH):
            part, some = table.slice(start, _BATCH), vectors[start : start + _BATCH]
            image_ids, item_ids = part["image_id"].to_pylist(), part["item_id"].to_pylist()
            index.upsert(image_ids, item_ids, some, catalogue_rows(part, some))
        index.flush()
    with staged_bundle(milvus) as draft:
        for path in faiss.iterdir():
            if path.name not in (INDEX, "manifest.json"):
                shutil.copy(path, draft.root / path.name)
        shown = {
            "backend": "milvus",
            "collection": collection,
            "rows": rows,
            "kind": "HNSW",
            "search": {"ef_search": 64},
        }
        draft.content |= {**content, "catalogue": catalogue, "index": shown}
    return Twins(faiss, milvus, collection, table["item_id"].to_pylist(), vectors)
