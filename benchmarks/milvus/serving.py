"""The service over Milvus beside the one over a FAISS bundle of the same catalogue: throughput, P99, recall, memory.

One process each, in turn, on one machine with Milvus (`MILVUS_URI`, or one that is started here): photos are searched
by users that always wait for an answer, then by Poisson arrivals at half of that rate. Recall is that of similar items
against exact search. Then what a replica takes of memory with small and large catalogues.

    python -m benchmarks.milvus.serving --bundle DIR
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.milvus.server import milvus_server, unavailable
from benchmarks.milvus.twin import Twins, write_twins
from benchmarks.serving.contestants import ours
from benchmarks.serving.photos import photo_requests, read_photos
from benchmarks.serving.running import Server
from benchmarks.serving.throughput import Round, as_table, measure
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message

__all__ = ["main"]

_K = 10
_ASKED = 300
"""Searches before memory is read."""


def main(arguments: list[str] | None = None) -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.milvus.serving", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="whose encoder both have")
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; generated ones without it")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument(
        "--queries", type=int, default=200, help="items whose similar ones are compared with exact search"
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 50_000], help="catalogues whose memory is read")
    parsed = parser.parse_args(arguments)
    with exit_with_message(), _server() as uri, tempfile.TemporaryDirectory() as folder:
        _speed(parsed, uri, Path(folder))
        _memory(parsed, uri, Path(folder))


@contextmanager
def _server() -> Iterator[str]:
    if uri := os.environ.get("MILVUS_URI"):
        yield uri
        return
    if reason := unavailable():
        raise ConfigError(reason)
    with milvus_server() as server:
        yield server.uri


def _speed(parsed: argparse.Namespace, uri: str, folder: Path) -> None:
    twins = write_twins(parsed.bundle, folder / "speed", rows=parsed.rows, uri=uri)
    photos = photo_requests(read_photos(parsed.photos, 500), line=lambda number: f"POST /v1/search?k={_K}")
    contestants: Mapping[str, tuple[Path, tuple[str, ...]]] = {
        "FAISS": (twins.faiss, ()),
        "Milvus": (twins.milvus, ("--milvus-uri", uri)),
    }
    rounds: dict[str, list[Round]] = {name: [] for name in contestants}
    recall: dict[str, float] = {}
    for number in range(parsed.rounds):
        # Turned around each time, so that what drifts hits both alike.
        for name, (bundle, options) in sorted(contestants.items(), reverse=bool(number % 2)):
            with ours(bundle, *options) as server:
                rounds[name].append(measure(server, photos, parsed.users, parsed.seconds))
                if name not in recall:
                    recall[name] = _recall(server, twins, parsed.queries)
    limit = [statistics.median(one.closed.rate for one in rounds["FAISS"])] * parsed.rounds
    print(f"{parsed.rows} items of {twins.vectors.shape[1]} dimensions; the limit is FAISS's rate\n")
    print(as_table(rounds, limit))
    told = ", ".join(f"{name} {found:.3f}" for name, found in sorted(recall.items()))
    print(f"\nrecall@{_K} of similar items against exact search, {parsed.queries} queries: {told}\n", flush=True)


def _recall(server: Server, twins: Twins, queries: int) -> float:
    """The share of the k nearest items that similar items are, by score: of two equal ones either is right."""
    rows = np.linspace(0, len(twins.items) - 1, queries).astype(np.int64)
    found = []
    row_of = {name: row for row, name in enumerate(twins.items)}
    for row in rows:
        status, body = server.get(f"/v1/items/{twins.items[row]}/similar?k={_K}")
        assert status == 200, body
        scores = np.delete(twins.vectors @ twins.vectors[row], row)
        kth = np.partition(scores, -_K)[-_K]
        names = [one["item_id"] for one in json.loads(body)["results"]]
        exact = twins.vectors[[row_of[name] for name in names]] @ twins.vectors[row]
        found.append(np.count_nonzero(exact >= kth - 1e-5) / _K)
    return float(np.mean(found))


def _memory(parsed: argparse.Namespace, uri: str, folder: Path) -> None:
    print("| items | private MiB | resident MiB, mapped files included |\n| ---: | ---: | ---: |")
    for rows in parsed.sizes:
        twins = write_twins(parsed.bundle, folder / f"memory-{rows}", rows=rows, uri=uri)
        with ours(twins.milvus, "--milvus-uri", uri, "--cache-mib", "0") as server:
            for number in range(_ASKED):
                name = twins.items[number * (len(twins.items) - 1) // _ASKED]
                assert server.get(f"/v1/items/{name}/similar?k=100&in_stock=true")[0] == 200
            print(f"| {rows} | {server.tree.private_mib():.0f} | {server.tree.resident_mib():.0f} |", flush=True)


if __name__ == "__main__":
    main()
