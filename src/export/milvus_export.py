"""A gallery to a collection of its own in Milvus, and then the alias to that collection.

The collection's name ends in a hash of all that is in it. So an export that failed or was killed finds its own half
again and goes on, and one of another content begins anew beside it. The alias is moved last.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from rich.progress import track

from src.contracts.errors import LookalikeError
from src.contracts.settings import IndexSettings
from src.index.filters import AnyOf
from src.index.milvus_catalogue import (
    BUNDLE_ID,
    ENCODER_ID,
    LOADING,
    MEASURED,
    PREPROCESSING,
    STATE,
    WHOLE,
    catalogue_attributes,
    catalogue_rows,
)
from src.index.milvus_collections import MilvusCollections
from src.index.milvus_index import MilvusIndex
from src.index.recall import IndexQuality, check_recall
from src.index.vector_digest import Digest, vector_hashes

__all__ = ["MilvusRelease", "export_to_milvus", "gallery_digest", "publish"]

log = logging.getLogger(__name__)

_BATCH = 1000
_FORMAT = 1
"""Raised when the rows of one catalogue are written in another way."""


@dataclass(frozen=True)
class MilvusRelease:
    """A whole collection.

    Attributes:
        collection: its name.
        content: for the manifest: what it is.
        quality: recall and times, as measured when it was made.
    """

    collection: str
    content: dict[str, Any]
    quality: IndexQuality


def gallery_digest(items: pa.Table, vectors: np.ndarray) -> Digest:
    """The digest of a gallery, which a bundle and a collection of it have."""
    digest = Digest()
    names = items["image_id"].to_pylist()
    categories = items["category"].to_pylist() if "category" in items.column_names else [None] * len(names)
    digest.add(zip(categories, names, [0] * len(names), vector_hashes(vectors).tolist(), strict=True))
    return digest


def export_to_milvus(
    items: pa.Table,
    vectors: np.ndarray,
    queries: np.ndarray,
    *,
    settings: IndexSettings,
    encoder_id: str,
    preprocessing: str,
    items_hash: str,
) -> MilvusRelease:
    """Make a gallery's collection, or finish it; does not touch the alias.

    Args:
        items: one row an image, as `validate_items` returns it.
        vectors: float32 array of shape (rows, dim), theirs, L2-normalised.
        queries: float32 array of shape (queries, dim), held out.
        settings: with `backend=milvus`. The token is `MILVUS_TOKEN`.
        encoder_id: of what embedded them.
        preprocessing: the hash of its spec.
        items_hash: of the items table.

    Raises:
        GateError: it finds too little.
        LookalikeError: the server is away, or what it holds is not what was written.
    """
    digest = gallery_digest(items, vectors)
    build = {
        "kind": settings.kind,
        "m": settings.m,
        "ef_construction": settings.ef_construction,
        "nlist": settings.nlist,
    }
    identity = [_FORMAT, encoder_id, preprocessing, items_hash, digest.total, build, settings.shards]
    name = f"{settings.collection}_{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]}"
    content = {
        "backend": "milvus",
        "alias": settings.collection,
        "collection": name,
        "rows": len(items),
        "digest": digest.total,
        **build,
        "search": {"ef_search": settings.ef_search, "nprobe": settings.nprobe},
    }
    token = os.environ.get("MILVUS_TOKEN", "")
    with MilvusCollections.open(settings.uri, token=token) as place:
        said = place.properties(name)
        effort: dict[str, Any] = {
            "ef_search": settings.ef_search,
            "nprobe": settings.nprobe,
            "timeout": 60.0,
            "token": token,
        }
        if said.get(STATE) == WHOLE:
            log.info("collection %s is there and whole", name)
            return MilvusRelease(name, content, IndexQuality(**json.loads(said[MEASURED])))
        if said and not place.has_index(name):
            place.drop(name)
            said = {}
        if not said:
            MilvusIndex.create(
                settings.uri,
                name,
                dim=vectors.shape[1],
                attributes=catalogue_attributes(items.schema),
                partition_by="category" if "category" in items.column_names else "",
                properties={ENCODER_ID: encoder_id, PREPROCESSING: preprocessing, STATE: LOADING},
                kind=settings.kind,
                m=settings.m,
                ef_construction=settings.ef_construction,
                nlist=settings.nlist or 1024,
                shards=settings.shards,
                token=token,
            ).close()
        with MilvusIndex(settings.uri, name, **effort) as index:
            for lack in index.capabilities.lacks:
                log.info("Milvus %s lacks %s", index.capabilities.version, lack)
            _load(index, items, vectors, known=bool(said))
            _compare(index, digest)
            quality = index.measure(items["image_id"].to_pylist(), vectors, queries)
        check_recall(quality, settings.min_recall)
        place.set_properties(name, {STATE: WHOLE, MEASURED: json.dumps(quality.to_dict())})
    return MilvusRelease(name, content, quality)


def publish(release: MilvusRelease, settings: IndexSettings, bundle_id: str) -> str:
    """Move the alias to a whole collection, and note whose it is; returns the collection that it pointed at before."""
    with MilvusCollections.open(settings.uri, token=os.environ.get("MILVUS_TOKEN", "")) as place:
        place.set_properties(release.collection, {BUNDLE_ID: bundle_id})
        return place.use(settings.collection, release.collection)


def _load(index: MilvusIndex, items: pa.Table, vectors: np.ndarray, *, known: bool) -> None:
    """Write the rows; of a collection that was begun before, those that it lacks."""
    starts = range(0, len(items), _BATCH)
    for start in track(starts, description=f"loading {len(items)} rows"):
        part, own = items.slice(start, _BATCH), vectors[start : start + _BATCH]
        attributes: Mapping[str, pa.Array] = catalogue_rows(part, own)
        if known:
            missing = pa.array(np.flatnonzero(~_written(index, part, attributes["vector_hash"])))
            part, own = part.take(missing), own[missing.to_numpy()]
            attributes = {name: column.take(missing) for name, column in attributes.items()}
        if len(part):
            index.upsert(part["image_id"].to_pylist(), part["item_id"].to_pylist(), own, attributes)
    index.flush()


def _written(index: MilvusIndex, part: pa.Table, hashes: pa.Array) -> np.ndarray:
    """Which rows are there as they must be: bool of shape (rows,)."""
    names = part["image_id"].to_pylist()
    found = index.rows([AnyOf("image_id", frozenset(names))], columns=["vector_hash"], consistency="Strong")
    there = {row["image_id"]: row["vector_hash"] for row in found}
    pairs: Iterator[tuple[str, int]] = zip(names, hashes.to_pylist(), strict=True)
    return np.array([there.get(name) == hashed for name, hashed in pairs], bool)


def _compare(index: MilvusIndex, expected: Digest) -> None:
    found = Digest()
    columns = [name for name in ("category", "version", "vector_hash") if name in index.columns]
    for page in index.scan(columns, batch=8000):
        found.add((row.get("category"), row["image_id"], row["version"], row["vector_hash"]) for row in page)
    if different := found.different(expected):
        raise LookalikeError(
            f"collection `{index.collection}` does not hold what was written: {len(different)} categories differ, "
            f"{found.count} of {expected.count} rows are there; export again, or drop it first"
        )
