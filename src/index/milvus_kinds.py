"""Which index kinds a Milvus server really builds, and their parameters."""

from typing import Any

__all__ = ["CLUSTER_KINDS", "GROUPING_KINDS", "LITE_KINDS", "build_params", "search_params"]

LITE_KINDS = ("FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX")
"""milvus-lite 3.2 takes IVF_PQ, HNSW_PQ, IVF_RABITQ, SCANN, DISKANN, GPU_CAGRA as well, and searches by brute force."""

CLUSTER_KINDS = {
    "FLAT": (2, 0),
    "IVF_FLAT": (2, 0),
    "IVF_SQ8": (2, 0),
    "IVF_PQ": (2, 0),
    "HNSW": (2, 0),
    "AUTOINDEX": (2, 2),
    "DISKANN": (2, 3),
    "HNSW_SQ": (2, 5),
    "HNSW_PQ": (2, 5),
    "IVF_RABITQ": (2, 6),
}
"""The server version, major and minor, that each kind came with."""

GROUPING_KINDS = ("FLAT", "HNSW", "HNSW_SQ", "HNSW_PQ", "IVF_FLAT", "IVF_SQ8", "DISKANN")
"""Kinds whose searches Milvus can group by a field; of the others more is fetched and grouped here."""


def build_params(kind: str, *, m: int, ef_construction: int, nlist: int) -> dict[str, Any]:
    """What `create_index` is given."""
    if kind.startswith("HNSW"):
        params: dict[str, Any] = {"M": m, "efConstruction": ef_construction}
        if kind == "HNSW_SQ":
            params["sq_type"] = "SQ8"
        return params
    if kind.startswith("IVF"):
        # RaBitQ keeps a bit a number: without a second look at rounded vectors it finds eight of ten.
        refine = {"refine": True, "refine_type": "SQ8"} if kind == "IVF_RABITQ" else {}
        return {"nlist": nlist, **refine}
    return {}


def search_params(kind: str, k: int, *, ef_search: int, nprobe: int) -> dict[str, Any]:
    """What `search` is given for k results."""
    if kind.startswith("HNSW"):
        return {"ef": max(ef_search, k)}
    if kind == "DISKANN":
        return {"search_list": max(ef_search, k)}
    if kind.startswith("IVF"):
        return {"nprobe": nprobe, **({"refine_k": 4} if kind == "IVF_RABITQ" else {})}
    return {}
