"""Kills exports at random, and checks that the alias always points to a whole collection and the rest is continued.

Each round begins an export of another release, kills it (SIGKILL) at a random moment of a whole export's time, checks
what the alias points at, row by row through its digest, and runs the same export again to its end.

    python -m benchmarks.milvus.killed_exports --kills 10
"""

import argparse
import random
import subprocess
import sys
import time

from benchmarks.milvus.one_export import gallery
from benchmarks.milvus.server import milvus_server, unavailable
from benchmarks.serving.running import ROOT, python
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.export.milvus_export import gallery_digest
from src.index.digest import digest_collection
from src.index.milvus_catalogue import BUNDLE_ID
from src.index.milvus_collections import MilvusCollections

__all__ = ["main"]

_NAME = "shop"


def _begin(uri: str, rows: int, dim: int, release: str) -> tuple[subprocess.Popen[str], float]:
    """Start an export; when it began to write."""
    command = python("benchmarks.milvus.one_export", uri, _NAME, str(rows), str(dim), release)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    process.stdout.readline()
    return process, time.perf_counter()


def _finish(uri: str, rows: int, dim: int, release: str) -> float:
    """Run an export to its end; seconds that it took."""
    process, start = _begin(uri, rows, dim, release)
    errors = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"the export failed:\n{errors}")
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.milvus.killed_exports", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args(arguments)
    with exit_with_message():
        if reason := unavailable():
            raise ConfigError(reason)
        sys.exit(_run(parsed.kills, parsed.rows, parsed.dim, random.Random(parsed.seed)))  # noqa: S311


def _run(kills: int, rows: int, dim: int, rng: random.Random) -> int:
    expected, wrong = gallery_digest(*gallery(rows, dim)[:2]), 0
    with milvus_server() as server:
        whole = _finish(server.uri, rows, dim, "release-0")
        print(f"{rows:,} rows of {dim} dimensions; an undisturbed export takes {whole:.1f} s")
        print("kill  after s  alias at    whole  unfinished rows  again s  alias then  whole")
        for number in range(1, kills + 1):
            release = f"release-{number}"
            process, start = _begin(server.uri, rows, dim, release)
            moment = rng.uniform(0, whole)
            try:
                process.wait(max(0.0, moment - (time.perf_counter() - start)))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
            served, right, written = _look(server.uri, expected.total, rows)
            again = _finish(server.uri, rows, dim, release)
            then, right_then, _ = _look(server.uri, expected.total, rows)
            good = right and right_then and served in (f"release-{number - 1}", release) and then == release
            wrong += not good
            print(
                f"{number:>4}  {moment:>7.1f}  {served:<10}  {right!s:<5}  {written:>15,}  {again:>7.1f}  {then:<10}  "
                f"{right_then!s:<5}{'' if good else '  WRONG'}",
                flush=True,
            )
    print(f"{kills - wrong} of {kills} as they must be")
    return 1 if wrong else 0


def _look(uri: str, expected: str, rows: int) -> tuple[str, bool, int]:
    """The release that the alias points at, whether it is whole, and the rows of what else is not."""
    with MilvusCollections.open(uri) as place:
        target = place.target(_NAME)
        release = place.properties(target).get(BUNDLE_ID, "none")
        found = digest_collection(uri, _NAME)
        unfinished = [name for name in place.names() if place.properties(name).get("lookalike.state") == "loading"]
        written = sum(digest_collection(uri, name).count for name in unfinished)
        # What no alias points at any longer makes room.
        for name in place.names():
            if name not in (target, *unfinished):
                place.drop(name)
    return release, found.total == expected and found.count == rows, written


if __name__ == "__main__":
    main()
