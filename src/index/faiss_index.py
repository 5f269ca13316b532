"""All layouts behind one protocol, on FAISS."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from src.contracts.errors import BundleError, LookalikeError
from src.index.construction import construct
from src.index.filtered_search import filtered_search
from src.index.layouts import LAYOUTS, Layout, layout_named
from src.index.search_with import search_with
from src.index.subset_scan import scan_allowed

__all__ = ["FaissIndex"]

_PARAMETERS_KEPT = 64

_STORED_AS = {faiss.ScalarQuantizer.QT_fp16: "fp16", faiss.ScalarQuantizer.QT_8bit: "sq8"}


class FaissIndex:
    """A FAISS index by inner product over normalised vectors, of any layout of `src.index.layouts`.

    Searching is safe from many threads at once. A process that has searched must not be forked (OpenMP's threads are
    not there in the child, which waits for them for ever): start others by `spawn`.
    """

    def __init__(self, index: faiss.Index, *, ef_search: int = 64, nprobe: int = 32, k_factor: float = 8.0) -> None:
        self._index = index
        # Kept, since asking FAISS costs: no search changes them.
        self._rows, self._dim = int(index.ntotal), int(index.d)
        self._layout = _layout_of(index)
        self._stored = self._stored_vectors()
        self._effort: dict[str, Any] = {"ef_search": ef_search, "nprobe": nprobe, "k_factor": k_factor}
        self._kept: dict[int, faiss.SearchParameters] = {}

    @classmethod
    def build(
        cls,
        vectors: np.ndarray,
        *,
        layout: str,
        m: int = 32,
        ef_construction: int = 200,
        nlist: int | None = None,
        ef_search: int = 64,
        nprobe: int = 32,
        k_factor: float = 8.0,
    ) -> "FaissIndex":
        """Index vectors; row i of `vectors` is row i of the index. Equal vectors give equal bytes.

        Args:
            vectors: float32 array of shape (rows, dim), L2-normalised.
            layout: one of `LAYOUTS`.
            m: HNSW links per vector and level.
            ef_construction: HNSW candidates while building.
            nlist: IVF clusters; by the number of vectors where None.
            ef_search: HNSW candidates while searching.
            nprobe: IVF clusters that are searched.
            k_factor: candidates for each row wanted, where codes are refined.

        Raises:
            LookalikeError: an unknown layout, or too few vectors for it.
        """
        built = construct(vectors, layout_named(layout), m=m, ef_construction=ef_construction, nlist=nlist)
        return cls(built, ef_search=ef_search, nprobe=nprobe, k_factor=k_factor)

    @classmethod
    def load(
        cls, path: Path, *, mapped: bool = False, ef_search: int = 64, nprobe: int = 32, k_factor: float = 8.0
    ) -> "FaissIndex":
        """Open what `save` wrote.

        Args:
            path: the file.
            mapped: leave the vectors on disk and map them: opens in milliseconds and shares its memory with other
                processes. The file may be renamed, replaced by a rename or deleted meanwhile, never written to.
            ef_search: as in `build`, like the others.
            nprobe: likewise.
            k_factor: likewise.

        Raises:
            BundleError: no FAISS index, or one of a layout that is not ours.
        """
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        except RuntimeError as error:
            raise BundleError(f"{path}: not a readable FAISS index ({str(error).splitlines()[-1]})") from None
        try:
            return cls(index, ef_search=ef_search, nprobe=nprobe, k_factor=k_factor)
        except LookalikeError as error:
            raise BundleError(f"{path}: {error}") from None

    def save(self, path: Path) -> None:
        """Write the index to one file."""
        faiss.write_index(self._index, str(path))

    def __len__(self) -> int:
        return self._rows

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._dim

    @property
    def layout(self) -> str:
        """One of `LAYOUTS`."""
        return self._layout.name

    @property
    def effort(self) -> dict[str, Any]:
        """What a search takes of `ef_search`, `nprobe` and `k_factor`, as keyword arguments of `load`."""
        names = {"exact": (), "hnsw": ("ef_search",), "ivf": ("nprobe",)}.get(self._layout.structure)
        return {name: self._effort[name] for name in (("nprobe", "k_factor") if names is None else names)}

    def with_effort(self, **effort: Any) -> "FaissIndex":
        """The same index, searched with another effort; nothing is copied."""
        return FaissIndex(self._index, **{**self._effort, **effort})

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`; min(k, rows that pass) rows are always found.

        With a filter, the rows that pass are scanned, or the index is searched further and what does not pass is
        dropped, whichever costs less (`filter_plan`).
        """
        if vectors.shape[1] != self._dim:
            raise LookalikeError(f"query vectors have {vectors.shape[1]} numbers, the index has {self._dim}")
        if allowed is not None and allowed.shape != (self._rows,):
            raise LookalikeError(f"`allowed` has shape {allowed.shape}, the index has {self._rows} rows")
        k_found = min(k, self._rows)
        if not k_found or not len(vectors) or (allowed is not None and not allowed.any()):
            return _padded(np.empty((len(vectors), 0), np.float32), np.empty((len(vectors), 0), np.int64), k)
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        if allowed is None:
            return _padded(*self._nearest(queries, k_found), k)
        if self._layout.structure == "exact":
            return _padded(*scan_allowed(self._index, queries, k_found, allowed), k)
        found = filtered_search(
            queries,
            k_found,
            allowed,
            graph=self._nearest,
            scan=lambda some, count: self._scan(some, count, allowed),
            ef_search=self._effort["ef_search"],
        )
        return _padded(*found, k)

    def _nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores, rows = search_with(self._index, queries, k, self._parameters(k))
        # The last of all first: for a single query, the usual case, that is all, and a reduction costs microseconds.
        if rows.item(-1) < 0 or (len(rows) > 1 and (rows[:, -1] < 0).any()):
            short = rows[:, -1] < 0
            scores[short], rows[short] = self._scan(queries[short], k, None)
        return scores, rows

    def _scan(self, queries: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Exact search of the stored vectors, of all or of those that are allowed."""
        if self._layout.structure != "ivf":
            if allowed is None:
                return self._stored.search(queries, k)
            return scan_allowed(self._stored, queries, k, allowed)
        nlist = self._index.nlist
        if allowed is None:
            return search_with(self._index, queries, k, faiss.SearchParametersIVF(nprobe=nlist))
        # The bitmap is read during the search: it must live as long as the selector.
        bitmap = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bitmap), faiss.swig_ptr(bitmap))
        k = min(k, int(np.count_nonzero(allowed)))
        return search_with(self._index, queries, k, faiss.SearchParametersIVF(sel=selector, nprobe=nlist))

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The stored vectors of some rows.

        Args:
            rows: int64 array of shape (n,).

        Returns:
            float32 array of shape (n, dim), L2-normalised, to the precision of the layout's storage.
        """
        stored: np.ndarray = self._stored.reconstruct_batch(np.ascontiguousarray(rows, dtype=np.int64))
        stored /= np.linalg.norm(stored, axis=1, keepdims=True)
        return stored

    def _stored_vectors(self) -> faiss.Index:
        if self._layout.structure == "hnsw":
            return faiss.downcast_index(self._index.storage)
        return faiss.downcast_index(self._index.refine_index) if self._layout.refined else self._index

    def _parameters(self, k: int) -> faiss.SearchParameters:
        """Search parameters for k rows, kept: making them costs a tenth of a quick search."""
        kept = self._kept.get(k)
        if kept is None:
            kept = self._new_parameters(k)
            if len(self._kept) >= _PARAMETERS_KEPT:
                self._kept.clear()
            # Two threads may make the same; either will do.
            self._kept[k] = kept
        return kept

    def _new_parameters(self, k: int) -> faiss.SearchParameters:
        """All are set, since fresh ones have efSearch 16 and nprobe 1."""
        if self._layout.structure == "exact":
            return faiss.SearchParameters()
        if self._layout.structure == "hnsw":
            # efSearch below k would find fewer than k rows.
            return faiss.SearchParametersHNSW(efSearch=max(self._effort["ef_search"], k))
        factor = self._effort["k_factor"] if self._layout.refined else 1.0
        nlist = _lists(self._index).nlist
        # At least enough clusters to hold twice the candidates.
        enough = math.ceil(2 * k * factor * nlist / self._rows)
        probed = faiss.SearchParametersIVF(nprobe=min(nlist, max(self._effort["nprobe"], enough)))
        if not self._layout.refined:
            return probed
        if self._layout.structure == "ivf_rabitq":
            probed = faiss.SearchParametersPreTransform(index_params=probed)
        return faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=probed)


def _layout_of(index: faiss.Index) -> Layout:
    """The layout of a FAISS index; raises `LookalikeError` where it is none of ours."""
    name = type(index).__name__
    structures = {faiss.IndexFlatIP: "exact", faiss.IndexIVFScalarQuantizer: "ivf", faiss.IndexRefine: "ivf_pq"}
    structure = next((of for kind, of in structures.items() if isinstance(index, kind)), None)
    if isinstance(index, faiss.IndexHNSW):
        structure, stored = "hnsw", faiss.downcast_index(index.storage)
    elif structure == "ivf_pq":
        rotated = isinstance(faiss.downcast_index(index.base_index), faiss.IndexPreTransform)
        structure, stored = "ivf_rabitq" if rotated else "ivf_pq", faiss.downcast_index(index.refine_index)
    else:
        stored = index
    storage = _STORED_AS[stored.sq.qtype] if hasattr(stored, "sq") else "fp32"
    found = LAYOUTS.get("exact" if structure == "exact" else f"{structure}_{storage}")
    if found is None or index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise LookalikeError(f"{name} is no layout of ours; build it again")
    return found


def _lists(index: faiss.Index) -> faiss.IndexIVF:
    if isinstance(index, faiss.IndexRefine):
        index = faiss.downcast_index(index.base_index)
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def _padded(scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    if rows.shape[1] == k:
        return scores, rows
    all_scores = np.full((len(rows), k), -np.inf, np.float32)
    all_rows = np.full((len(rows), k), -1, np.int64)
    all_scores[:, : rows.shape[1]], all_rows[:, : rows.shape[1]] = scores, rows
    return all_scores, all_rows
