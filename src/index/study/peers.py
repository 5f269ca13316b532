"""hnswlib and usearch, as a study builds and searches them; packages of the `bench` extra."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from src.contracts.errors import ConfigError

__all__ = ["PEERS", "Peer", "PeerSearch", "require_peers"]


class PeerSearch(Protocol):
    """A query of shape (1, dim) and k to rows of shape (k,)."""

    def __call__(self, query: np.ndarray, k: int) -> np.ndarray:
        """Search."""
        ...


@dataclass(frozen=True)
class Peer:
    """Another library's index.

    Attributes:
        package: what must be installed.
        build: makes the index of a gallery and writes it; takes gallery, path, m, ef_construction.
        open: reads it; takes path and dim, returns a function from efSearch to a search on one thread.
    """

    package: str
    build: Callable[[np.ndarray, Path, int, int], None]
    open: Callable[[Path, int], Callable[[int], PeerSearch]]


def require_peers() -> None:
    """Raise `ConfigError` where a peer is not installed."""
    absent = sorted({peer.package for peer in PEERS.values() if find_spec(peer.package) is None})
    if absent:
        raise ConfigError(f"`--peers`: {', '.join(absent)} not installed; pip install '.[bench]'")


def _build_hnswlib(gallery: np.ndarray, path: Path, m: int, ef_construction: int) -> None:
    index = import_module("hnswlib").Index(space="ip", dim=gallery.shape[1])
    index.init_index(max_elements=len(gallery), M=m, ef_construction=ef_construction, random_seed=0)
    for start in range(0, len(gallery), 65_536):
        index.add_items(gallery[start : start + 65_536], np.arange(start, min(start + 65_536, len(gallery))))
    index.save_index(str(path))


def _open_hnswlib(path: Path, dim: int) -> Callable[[int], PeerSearch]:
    index = import_module("hnswlib").Index(space="ip", dim=dim)
    index.load_index(str(path))
    index.set_num_threads(1)

    def with_ef(ef_search: int) -> PeerSearch:
        index.set_ef(ef_search)
        return lambda query, k: index.knn_query(query, k=k)[0][0].astype(np.int64)

    return with_ef


def _usearch(dim: int, precision: str, m: int = 0, ef_construction: int = 0) -> Any:
    return import_module("usearch.index").Index(
        ndim=dim, metric="ip", dtype=precision, connectivity=m, expansion_add=ef_construction
    )


def _build_usearch(precision: str) -> Callable[[np.ndarray, Path, int, int], None]:
    def build(gallery: np.ndarray, path: Path, m: int, ef_construction: int) -> None:
        index = _usearch(gallery.shape[1], precision, m, ef_construction)
        for start in range(0, len(gallery), 65_536):
            part = np.ascontiguousarray(gallery[start : start + 65_536])
            index.add(np.arange(start, start + len(part)), part)
        index.save(str(path))

    return build


def _open_usearch(precision: str) -> Callable[[Path, int], Callable[[int], PeerSearch]]:
    def open_index(path: Path, dim: int) -> Callable[[int], PeerSearch]:
        index = _usearch(dim, precision)
        index.load(str(path))

        def with_ef(ef_search: int) -> PeerSearch:
            index.expansion_search = ef_search
            return lambda query, k: index.search(query[0], k, threads=1).keys.astype(np.int64)

        return with_ef

    return open_index


PEERS = {
    "hnswlib_fp32": Peer("hnswlib", _build_hnswlib, _open_hnswlib),
    "usearch_fp32": Peer("usearch", _build_usearch("f32"), _open_usearch("f32")),
    "usearch_fp16": Peer("usearch", _build_usearch("f16"), _open_usearch("f16")),
}
"""By name, library and storage."""
