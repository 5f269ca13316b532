"""What a study searches: a gallery on disk, held-out queries, and the truth about them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.contracts.atomic_file import atomic_file, write_atomically
from src.contracts.errors import ConfigError, TableError
from src.contracts.tables import unpack_vectors
from src.index.simulated import Clustered

__all__ = ["K", "Source", "from_clustered", "from_embeddings"]

K = 10
"""Neighbours that recall is taken of."""


@dataclass(frozen=True)
class Source:
    """A gallery and queries that are not in it.

    Attributes:
        gallery: float32 memory map of shape (rows, dim), L2-normalised.
        queries: float32 of shape (queries, dim), L2-normalised.
        categories: the category of each query, strings, or None.
        kth: float32 of shape (queries,): the cosine of each query's K-th nearest vector.
    """

    gallery: np.ndarray
    queries: np.ndarray
    categories: np.ndarray | None
    kth: np.ndarray

    def hits(self, query: int, rows: np.ndarray) -> float:
        """The share of a query's true neighbours among `rows`; by score, since of two equal vectors either is right."""
        found = np.unique(rows[rows >= 0])
        k = min(K, len(self.gallery))
        near = self.gallery[found] @ self.queries[query] >= self.kth[query] - 1e-5
        return min(int(np.count_nonzero(near)), k) / k


def from_clustered(output: Path, simulated: Clustered, queries: int) -> Source:
    """A simulated source in a study's folder, made on the first call."""
    if simulated.dim < 8 or simulated.rows < 1:
        raise ConfigError(f"`--clustered {simulated.rows}x{simulated.dim}`: at least 1 vector of 8 numbers")
    card = {"clustered": [simulated.rows, simulated.dim], "seed": simulated.seed, "queries": queries}
    if _is_new(output, card):
        asked, category = simulated.queries(queries)
        names = np.array([f"category {number:02d}" for number in category])
        _keep(output, card, simulated.gallery(), simulated.rows, asked, names)
    return _opened(output)


def from_embeddings(output: Path, path: Path, queries: int) -> Source:
    """A source from an embeddings file, in a study's folder.

    Args:
        output: the study's folder.
        path: Parquet with the column `vector`: lists of float, or the embeddings table's float16. If it has `is_query`
            and `is_gallery`, these say which rows ask and which are searched; else any may. `category` is optional.
        queries: rows that are held out to ask, at most; they are not searched.

    Raises:
        TableError: the file is not like that.
    """
    stat = path.stat() if path.is_file() else None
    card = {"embeddings": str(path.resolve()), "bytes": stat and stat.st_size, "queries": queries}
    if _is_new(output, card):
        table = _read(path)
        vectors = _vectors(table["vector"], path)
        asks, searched = (_role(table, name) for name in ("is_query", "is_gallery"))
        # Some must stay to be searched.
        most = min(queries, len(asks), max(1, len(searched) // 2))
        asking = np.sort(np.random.default_rng(0).choice(asks, most, replace=False))
        searched = np.setdiff1d(searched, asking)
        if not len(asking) or not len(searched):
            raise TableError(f"{path}: {len(asking)} queries and {len(searched)} vectors to search: both must be there")
        names = None
        if "category" in table.column_names:
            names = np.array([str(name) for name in table["category"].take(pa.array(asking)).to_pylist()])
        _keep(output, card, [vectors[searched]], len(searched), vectors[asking], names)
    return _opened(output)


def _is_new(output: Path, card: dict[str, Any]) -> bool:
    try:
        before = json.loads((output / "source.json").read_text())
    except FileNotFoundError:
        return True
    if before != card:
        raise ConfigError(f"`--output {output}`: holds a study of {before}, not of {card}; name another folder")
    return False


def _keep(
    output: Path,
    card: dict[str, Any],
    gallery: Iterable[np.ndarray],
    rows: int,
    queries: np.ndarray,
    categories: np.ndarray | None,
) -> None:
    with atomic_file(output / "gallery.npy") as temporary:
        written = np.lib.format.open_memmap(temporary, "w+", np.float32, (rows, queries.shape[1]))
        start = 0
        for chunk in gallery:
            written[start : start + len(chunk)] = chunk
            start += len(chunk)
        written.flush()
    scores, _ = faiss.knn(queries, np.asarray(written), min(K, rows), metric=faiss.METRIC_INNER_PRODUCT)
    found = {"queries": queries, "kth": scores[:, -1]}
    if categories is not None:
        found["categories"] = categories
    with atomic_file(output / "queries.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **found)
    # Last: where it stands, all of it does.
    write_atomically(output / "source.json", json.dumps(card))


def _opened(output: Path) -> Source:
    with np.load(output / "queries.npz") as kept:
        categories = kept.get("categories")
        return Source(np.load(output / "gallery.npy", mmap_mode="r"), kept["queries"], categories, kept["kth"])


def _read(path: Path) -> pa.Table:
    try:
        present = pq.read_schema(path).names
        wanted = [name for name in ("vector", "is_query", "is_gallery", "category") if name in present]
        table = pq.read_table(path, columns=wanted)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path}: cannot be read as Parquet ({error})") from None
    if "vector" not in wanted:
        raise TableError(f"{path}: no column vector; it has {', '.join(present)}")
    return table


def _vectors(column: pa.ChunkedArray, path: Path) -> np.ndarray:
    kind = column.type
    if pa.types.is_fixed_size_binary(kind) and not column.null_count:
        vectors = unpack_vectors(column)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = np.unique([len(vector) if vector is not None else 0 for vector in column.to_numpy()])
        if len(lengths) != 1 or not lengths[0]:
            raise TableError(f"{path}: vectors of different lengths or none: {lengths[:5].tolist()}")
        vectors = np.stack(column.to_numpy()).astype(np.float32)
    else:
        raise TableError(f"{path}: column vector is {kind}; it must hold lists of float, or float16 as binary")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if len(bad):
        raise TableError(f"{path}: {len(bad)} vector(s) have no direction (zero or not finite), first in row {bad[0]}")
    normalised: np.ndarray = vectors / lengths
    return normalised


def _role(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        return np.arange(len(table))
    return np.flatnonzero(table[name].fill_null(False).to_numpy())
