"""The same vectors behind FAISS and behind Milvus: load time, memory, throughput, latency and recall, in one run.

Both have HNSW with the same links and effort; FAISS is in the process, as a bundle's index is, Milvus is a server of
one machine (`MILVUS_URI`, or one that is started here). Not HTTP: what the service adds is the same for both.

    python -m benchmarks.milvus.throughput --rows 100000 --dim 512
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import numpy as np

from benchmarks.milvus.server import MilvusServer, milvus_server, unavailable
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.index.faiss_index import FaissIndex
from src.index.milvus_collections import MilvusCollections
from src.index.milvus_index import MilvusIndex
from src.index.recall import kth_scores
from src.index.simulated import Clustered

__all__ = ["main"]

_K = 10
_BATCH = 10_000
Search = Callable[[np.ndarray], np.ndarray]
"""A query of shape (dim,) to the rows that were found, int64 of shape (k,), -1 where there are fewer."""


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.milvus.throughput", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--ef-search", type=int, default=64)
    parser.add_argument("--kind", default="HNSW")
    parser.add_argument("--without-faiss", action="store_true", help="for sizes of which two copies are too many")
    parsed = parser.parse_args(arguments)
    with exit_with_message(), _server() as (uri, server):
        _run(parsed, uri, server)


@contextmanager
def _server() -> Iterator[tuple[str, MilvusServer | None]]:
    if uri := os.environ.get("MILVUS_URI"):
        yield uri, None
        return
    if reason := unavailable():
        raise ConfigError(reason)
    with milvus_server() as server:
        yield server.uri, server


def _run(parsed: argparse.Namespace, uri: str, server: MilvusServer | None) -> None:
    simulated = Clustered(parsed.rows, parsed.dim)
    vectors, (queries, _) = simulated.vectors(), simulated.queries(parsed.queries)
    kth = kth_scores(vectors, queries)
    print(f"{parsed.rows:,} x {parsed.dim}, {parsed.kind}, m 32, ef_search {parsed.ef_search}, k {_K}")
    name = f"throughput_{uuid4().hex[:8]}"
    quick = {"timeout": 120.0, "consistency": "Eventually", "ef_search": parsed.ef_search}
    start = time.perf_counter()
    with MilvusIndex.create(uri, name, dim=parsed.dim, kind=parsed.kind, ef_construction=200, **quick) as index:
        for first in range(0, parsed.rows, _BATCH):
            part = vectors[first : first + _BATCH]
            names = [str(row) for row in range(first, first + len(part))]
            index.upsert(names, names, part)
        written = time.perf_counter() - start
        index.flush()
        whole = time.perf_counter() - start
        assert len(index) == parsed.rows
        memory = "" if server is None else f", {server.tree.resident_mib():,.0f} MiB resident"
        print(f"Milvus: written in {written:.1f} s, flushed and indexed after {whole:.1f} s{memory}")

        def ask_milvus(query: np.ndarray) -> np.ndarray:
            found = index.search(query[None], _K)[1][0]
            return np.array([-1 if row is None else int(row) for row in found])

        contenders: list[tuple[str, Search]] = [("milvus", ask_milvus)]
        if not parsed.without_faiss:
            start = time.perf_counter()
            faiss = FaissIndex.build(vectors, layout="hnsw_fp16", ef_search=parsed.ef_search)
            print(f"FAISS:  hnsw_fp16 built in {time.perf_counter() - start:.1f} s")
            contenders.insert(0, ("faiss", lambda query: faiss.search(query[None], _K)[1][0]))
        print("threads  index   queries/s  p50 ms  p99 ms  recall@10")
        for threads in parsed.threads:
            for which, ask in contenders:
                print(f"{threads:>7}  {which:<6}  {_measured(ask, queries, vectors, kth, threads)}", flush=True)
    with MilvusCollections.open(uri) as place:
        place.drop(name)


def _measured(ask: Search, queries: np.ndarray, vectors: np.ndarray, kth: np.ndarray, threads: int) -> str:
    def timed(query: np.ndarray) -> tuple[float, np.ndarray]:
        start = time.perf_counter()
        rows = ask(query)
        return time.perf_counter() - start, rows

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(timed, queries[:50]))
        start = time.perf_counter()
        answers: Sequence[tuple[float, np.ndarray]] = list(pool.map(timed, queries))
        wall = time.perf_counter() - start
    p50, p99 = np.percentile([seconds for seconds, _ in answers], [50, 99]) * 1e3
    found = [
        np.count_nonzero(vectors[rows[rows >= 0]] @ query >= score - 1e-5) / _K
        for query, score, (_, rows) in zip(queries, kth, answers, strict=True)
    ]
    return f"{len(queries) / wall:>9.0f}  {p50:>6.2f}  {p99:>6.2f}  {np.mean(found):>9.4f}"


if __name__ == "__main__":
    main()
