"""Vectors to a FAISS index of a layout. Equal vectors and settings give equal bytes."""

from collections.abc import Iterator

import faiss
import numpy as np

from src.contracts.errors import LookalikeError
from src.index.layouts import LEARNS_FROM, Layout, default_nlist, pq_codes
from src.index.threads import deterministic_threads, faiss_threads

__all__ = ["clusters", "coded", "construct", "links"]

_CHUNK = 65_536
_LEARNED_FROM_CLUSTER = 64
"""Vectors a cluster that clusters are learned from; more gain nothing that a search shows."""
_LEARNED_FROM = 65_536
"""Vectors that code books and ranges are learned from."""

_IP = faiss.METRIC_INNER_PRODUCT
_KINDS = {"fp16": faiss.ScalarQuantizer.QT_fp16, "sq8": faiss.ScalarQuantizer.QT_8bit}


def construct(
    vectors: np.ndarray,
    layout: Layout,
    *,
    m: int,
    ef_construction: int,
    nlist: int | None = None,
    graph: faiss.IndexHNSWSQ | None = None,
    centroids: faiss.Index | None = None,
    codes: faiss.Index | None = None,
) -> faiss.Index:
    """Build an index.

    Args:
        vectors: float32 array of shape (rows, dim), L2-normalised; may be a memory map, it is read in chunks.
        layout: what to build.
        m: HNSW links per vector and level.
        ef_construction: HNSW candidates while building.
        nlist: IVF clusters; `default_nlist` where None.
        graph: links that `links` made of the same vectors; made where None.
        centroids: clusters that `clusters` made of the same vectors; made where None.
        codes: what `coded` made of the same vectors for a refined layout; made where None.

    Raises:
        LookalikeError: too few vectors for a layout that learns from them.
    """
    rows, dim = vectors.shape
    if layout.clustered and rows < LEARNS_FROM:
        raise LookalikeError(
            f"`layout={layout.name}`: {rows} vectors, it needs at least {LEARNS_FROM} to learn from; use exact"
        )
    if layout.structure == "exact":
        return _filled(faiss.IndexFlatIP(dim), vectors)
    with faiss_threads(deterministic_threads()):
        if layout.structure == "hnsw":
            graph = graph or links(vectors, m=m, ef_construction=ef_construction)
            return graph if layout.storage == "fp16" else _with_links(graph, vectors, layout.storage, m)
        if layout.structure == "ivf":
            centroids = centroids or clusters(vectors, nlist=nlist)
            index = faiss.IndexIVFScalarQuantizer(centroids, dim, centroids.ntotal, _KINDS[layout.storage], _IP, True)
            # Without this a row's vector could not be found again.
            index.set_direct_map_type(faiss.DirectMap.Array)
            return _filled(_learned(index, vectors), vectors)
        codes = codes or coded(vectors, layout, nlist=nlist, centroids=centroids)
        return faiss.IndexRefine(codes, _storage(vectors, layout.storage))


def links(vectors: np.ndarray, *, m: int, ef_construction: int) -> faiss.IndexHNSWSQ:
    """The graph that all HNSW layouts share, made over float16: quicker than over float32, and as good."""
    index = faiss.IndexHNSWSQ(vectors.shape[1], _KINDS["fp16"], m, _IP)
    index.hnsw.efConstruction = ef_construction
    index.storage.is_trained = index.is_trained = True  # float16 has nothing to learn
    # In one piece: which vectors are inserted together follows from how many come at once.
    with faiss_threads(deterministic_threads()):
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    return index


def _with_links(graph: faiss.IndexHNSWSQ, vectors: np.ndarray, kind: str, m: int) -> faiss.IndexHNSW:
    dim = vectors.shape[1]
    index = faiss.IndexHNSWFlat(dim, m, _IP) if kind == "fp32" else faiss.IndexHNSWSQ(dim, _KINDS[kind], m, _IP)
    storage = faiss.downcast_index(index.storage)
    _learn_ranges(storage, vectors)
    _filled(storage, vectors)
    index.hnsw = graph.hnsw
    index.ntotal, index.is_trained = storage.ntotal, True
    return index


def clusters(vectors: np.ndarray, *, nlist: int | None = None) -> faiss.Index:
    """The centroids that all IVF layouts share, by spherical k-means."""
    rows, dim = vectors.shape
    nlist = nlist or default_nlist(rows)
    kmeans = faiss.Clustering(dim, nlist)
    kmeans.spherical, kmeans.niter, kmeans.seed, kmeans.min_points_per_centroid = True, 10, 0, 1
    centroids = faiss.IndexFlatIP(dim)
    with faiss_threads(deterministic_threads()):
        kmeans.train(_sample(vectors, max(_LEARNED_FROM_CLUSTER * nlist, LEARNS_FROM)), centroids)
    return centroids


def coded(
    vectors: np.ndarray, layout: Layout, *, nlist: int | None = None, centroids: faiss.Index | None = None
) -> faiss.Index:
    """The lists of codes that all storages of a refined layout share; arguments as for `construct`."""
    with faiss_threads(deterministic_threads()):
        empty = _empty_codes(layout, centroids or clusters(vectors, nlist=nlist))
        return _filled(_learned(empty, vectors), vectors)


def _empty_codes(layout: Layout, centroids: faiss.Index) -> faiss.Index:
    dim, nlist = centroids.d, centroids.ntotal
    if layout.structure == "ivf_pq":
        # Not by `index_factory`: that trains an order of the codes for Hamming distances, which takes minutes and
        # which nothing here uses.
        index = faiss.IndexIVFPQ(centroids, dim, nlist, pq_codes(dim), 8, _IP)
        index.pq.cp.min_points_per_centroid = 1
        return index
    # RaBitQ's error bound holds for randomly rotated vectors (Gao and Long, arXiv 2405.12497, section 3.1).
    rotation = faiss.RandomRotationMatrix(dim, dim)
    rotation.init(0)
    turned = faiss.IndexFlatIP(dim)
    turned.add(rotation.apply(centroids.reconstruct_n(0, nlist)))
    inner = faiss.IndexIVFRaBitQ(turned, dim, nlist, _IP)
    return faiss.IndexPreTransform(rotation, inner)


def _learned(index: faiss.Index, vectors: np.ndarray) -> faiss.Index:
    index.train(_sample(vectors, _LEARNED_FROM))
    return index


def _storage(vectors: np.ndarray, kind: str) -> faiss.Index:
    if kind == "fp32":
        return _filled(faiss.IndexFlatIP(vectors.shape[1]), vectors)
    storage = faiss.IndexScalarQuantizer(vectors.shape[1], _KINDS[kind], _IP)
    _learn_ranges(storage, vectors)
    return _filled(storage, vectors)


def _learn_ranges(storage: faiss.Index, vectors: np.ndarray) -> None:
    """Let 8 bits stand for the range of all vectors: what lies outside of it would be cut off."""
    if isinstance(storage, faiss.IndexScalarQuantizer) and storage.sq.qtype == _KINDS["sq8"]:
        # An empty index needs some range too, or its file could not be read.
        ends = [np.stack([part.min(axis=0), part.max(axis=0)]) for part in _chunks(vectors)]
        storage.train(np.concatenate(ends or [np.zeros((1, storage.d), np.float32)]))
    storage.is_trained = True


def _filled(index: faiss.Index, vectors: np.ndarray) -> faiss.Index:
    for part in _chunks(vectors):
        index.add(part)
    return index


def _chunks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _CHUNK):
        yield np.ascontiguousarray(vectors[start : start + _CHUNK], dtype=np.float32)


def _sample(vectors: np.ndarray, most: int) -> np.ndarray:
    if len(vectors) <= most:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), most, replace=False))
    return np.ascontiguousarray(vectors[rows], dtype=np.float32)
