"""Pairs of duplicates by embedding: what hashes cannot see, such as crops, turned pictures and borders."""

import faiss
import numpy as np
import pyarrow as pa

from src.catalog.duplicates.pairs import PAIRS

__all__ = ["embedding_pairs"]

_QUERIES = 1_000


def embedding_pairs(image_ids: list[str], vectors: np.ndarray, *, min_cosine: float, most: int = 100) -> pa.Table:
    """All pairs of images whose embeddings have at least a cosine.

    Every vector is compared with every other (FAISS, exact): minutes for 100,000 images. Beyond that, ask an index for
    each image's neighbours and keep those above the cosine.

    Args:
        image_ids: one a vector, none twice.
        vectors: float32 of shape (images, dim), of norm 1.
        min_cosine: -1 to 1.
        most: partners of one image, the nearest; so that a picture under many items does not make its square of pairs.

    Returns:
        Table with the schema `PAIRS` and a column `cosine`; `kind` is `embedding`, `bits` and `colours` are null.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    found: dict[tuple[str, str], float] = {}
    for start in range(0, len(vectors), _QUERIES):
        limits, cosines, others = index.range_search(vectors[start : start + _QUERIES], min_cosine)
        for query in range(len(limits) - 1):
            own = start + query
            span = slice(int(limits[query]), int(limits[query + 1]))
            near = [(-c, o) for c, o in zip(cosines[span].tolist(), others[span].tolist(), strict=True) if o != own]
            for cosine, other in sorted(near)[:most]:
                a, b = sorted((image_ids[own], image_ids[other]))
                found[a, b] = -cosine
    pairs = sorted(found)
    nothing = pa.nulls(len(pairs))
    columns = [pa.array([pair[0] for pair in pairs], pa.string()), pa.array([pair[1] for pair in pairs], pa.string())]
    columns += [pa.array(["embedding"] * len(pairs), pa.string()), nothing.cast(pa.int32()), nothing.cast(pa.float32())]
    table = pa.table(columns, schema=PAIRS)
    return table.append_column("cosine", pa.array([found[pair] for pair in pairs], pa.float32()))
