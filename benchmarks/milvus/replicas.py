"""Two replicas over one Milvus and one PostgreSQL: freshness, and changes while everything is killed.

First items are put at one replica and searched at the other until they are found. Then many changes (put, patch,
delete) are sent to either replica, each in its own version and again until it is acknowledged, while the two replicas
and Milvus are killed (SIGKILL) at random moments and started again. When Milvus has all changes, the whole collection
is read: nothing may be missing, stand twice, be of an older version, come back from the dead or have a zeroed vector.
Exits 1 where something does.

    python -m benchmarks.milvus.replicas --bundle DIR
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.milvus.replica import Replica
from benchmarks.milvus.server import MilvusServer, unavailable
from benchmarks.milvus.twin import Twins, write_twins
from benchmarks.serving.dependencies import postgres, redis
from benchmarks.serving.photos import read_photos
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.index.change_store import ChangeStore
from src.index.milvus_index import MilvusIndex

__all__ = ["main"]

_TOKEN = "benchmark"  # noqa: S105
_AUTHORIZED = {"Authorization": f"Bearer {_TOKEN}"}
_SENDERS = 4
_NAMES = 50
"""New items of each sender, beside some of the catalogue."""
_PAUSE = 0.05
"""Seconds until a change that was not acknowledged is sent again."""
_SETTLE = 300.0
"""Seconds that Milvus may take to have all changes in the end."""

Expected = dict[str, int | None]
"""By item, the version that it must have; None where it must be gone."""


def main(arguments: list[str] | None = None) -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.milvus.replicas",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, required=True, help="whose encoder the replicas have")
    parser.add_argument("--rows", type=int, default=2000, help="items of the catalogue")
    parser.add_argument("--fresh", type=int, default=200, help="items whose freshness is measured, at least 4")
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20, help="of each replica, and of Milvus")
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args(arguments)
    with exit_with_message(), tempfile.TemporaryDirectory() as folder, _all(parsed, Path(folder)) as running:
        replicas, milvus, twins, store = running
        photos = read_photos(None, 64, seed=parsed.seed)
        _freshness(replicas, photos, max(4, parsed.fresh))
        problems = _crashes(parsed, replicas, milvus, twins, store, photos)
    if problems:
        print("\n".join(problems[:20]), file=sys.stderr)
        raise SystemExit(1)


@contextmanager
def _all(parsed: argparse.Namespace, folder: Path) -> Iterator[tuple[list[Replica], MilvusServer, Twins, ChangeStore]]:
    if reason := unavailable():
        raise ConfigError(reason)
    with ExitStack() as stack:
        milvus = MilvusServer(folder / "milvus")
        stack.callback(milvus.kill)
        milvus.start()
        (folder / "postgres").mkdir()
        url = stack.enter_context(postgres(folder / "postgres")).url
        environment = {"LOOKALIKE_TOKEN": _TOKEN, "LOOKALIKE_CHANGES_URL": url, "LOOKALIKE_MILVUS_URI": milvus.uri}
        if shutil.which("redis-server"):
            environment["LOOKALIKE_REDIS_URL"] = stack.enter_context(redis(folder)).url
        twins = write_twins(parsed.bundle, folder / "twins", rows=parsed.rows, uri=milvus.uri)
        replicas = [Replica(["--bundle", str(twins.milvus)], environment) for _ in range(2)]
        for replica in replicas:
            stack.callback(replica.close)
            replica.start()
        store = ChangeStore(url.replace("postgresql://", "postgresql+psycopg://"))
        stack.callback(store.close)
        yield replicas, milvus, twins, store


def _freshness(replicas: Sequence[Replica], photos: Sequence[bytes], count: int) -> None:
    rows = {"until acknowledged": [], "until found, Bounded": [], "with read_after": []}  # type: dict[str, list[float]]
    for number in range(count):
        one, other = replicas[number % 2], replicas[1 - number % 2]
        name, photo = f"fresh-{number}", _numbered(photos[number % len(photos)], number)
        began = time.perf_counter()
        answer = one.client.put(f"/v1/items/{name}", files={"image": photo}, headers=_AUTHORIZED)
        assert answer.status_code == 200, answer.text
        acknowledged = time.perf_counter()
        rows["until acknowledged"].append(acknowledged - began)
        version = answer.json()["version"]
        if number % 4 == 0:
            assert _finds(other, photo, name, read_after=version), f"{name} is not found with read_after={version}"
            rows["with read_after"].append(time.perf_counter() - acknowledged)
        else:
            while not _finds(other, photo, name):
                assert time.perf_counter() - began < 60, f"{name} is not found at the other replica"
            rows["until found, Bounded"].append(time.perf_counter() - began)
        one.client.delete(f"/v1/items/{name}", headers=_AUTHORIZED)
    print("| put at one replica, found at the other | n | P50 ms | P99 ms |\n| --- | ---: | ---: | ---: |")
    for what, seconds in rows.items():
        p50, p99 = np.percentile(1e3 * np.array(seconds), [50, 99], method="higher")
        print(f"| {what} | {len(seconds)} | {p50:.0f} | {p99:.0f} |", flush=True)


def _finds(replica: Replica, photo: bytes, name: str, **parameters: int) -> bool:
    # Several photos are of the same pixels.
    answer = replica.client.post("/v1/search", params={"k": 5, **parameters}, files={"image": photo})
    return answer.status_code == 200 and name in [one["item_id"] for one in answer.json()["results"]]


def _numbered(photo: bytes, number: int) -> bytes:
    """The same pixels in another file: a comment behind the JPEG's first marker."""
    return photo[:2] + b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big") + photo[2:]


class _Senders:
    """Threads that each change items of their own, one after the other."""

    def __init__(
        self, replicas: Sequence[Replica], twins: Twins, photos: Sequence[bytes], changes: int, seed: int
    ) -> None:
        self.expected: Expected = {}
        self.done = Counter[str]()
        self.problems: list[str] = []
        self._replicas, self._photos = replicas, photos
        shares = [changes // _SENDERS + (number < changes % _SENDERS) for number in range(_SENDERS)]
        self.threads = [
            threading.Thread(target=self._send, args=(number, twins, share, random.Random(seed + number)))  # noqa: S311
            for number, share in enumerate(shares)
        ]

    def _send(self, number: int, twins: Twins, changes: int, rng: random.Random) -> None:
        new = [f"new-{number}-{place}" for place in range(_NAMES)]
        exported = twins.items[number :: 4 * _SENDERS]
        there = {name: name in exported for name in (*new, *exported)}
        try:
            for change in range(changes):
                name = rng.choice(new if rng.random() < 0.7 else exported)
                kind = rng.choices(["PUT", "PATCH", "DELETE"], [5, 3 * there[name], 2])[0]
                version = int(self._asked(rng, "POST", "/v1/items")["version"])
                more: dict[str, Any] = {"params": {"version": version}}
                if kind == "PUT":
                    chosen = [_numbered(rng.choice(self._photos), change) for _ in range(rng.randint(1, 2))]
                    more |= {"files": [("image", photo) for photo in chosen], "data": {"price": str(change)}}
                elif kind == "PATCH":
                    more["json"] = {"price": rng.random(), "in_stock": rng.random() < 0.5}
                self._asked(rng, kind, f"/v1/items/{name}", **more)
                there[name] = kind != "DELETE"
                self.expected[name] = version if there[name] else None
                self.done[kind] += 1
        except Exception as error:
            self.problems.append(f"sender {number}: {type(error).__name__}: {error}")

    def _asked(self, rng: random.Random, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Sent to either replica until it is acknowledged."""
        end = time.monotonic() + 600
        while time.monotonic() < end:
            try:
                answer = rng.choice(self._replicas).client.request(method, path, headers=_AUTHORIZED, **more)
                if answer.status_code in (200, 202):
                    self.done["sent when Milvus was away"] += answer.status_code == 202
                    found: dict[str, Any] = answer.json()
                    return found
                if answer.status_code < 500:
                    raise AssertionError(f"{method} {path}: {answer.text}")
            except httpx.HTTPError:
                pass
            self.done["sent again"] += 1
            time.sleep(_PAUSE)
        raise AssertionError(f"{method} {path} was never acknowledged")


def _crashes(
    parsed: argparse.Namespace,
    replicas: Sequence[Replica],
    milvus: MilvusServer,
    twins: Twins,
    store: ChangeStore,
    photos: Sequence[bytes],
) -> list[str]:
    senders = _Senders(replicas, twins, photos, parsed.changes, parsed.seed)
    victims: list[Replica | MilvusServer] = [*replicas, milvus] * parsed.kills
    rng = random.Random(parsed.seed)  # noqa: S311
    rng.shuffle(victims)
    began = time.perf_counter()
    for thread in senders.threads:
        thread.start()
    killed = 0
    for number, victim in enumerate(victims, start=1):
        # Kills are spread over the changes, and come at any moment of one.
        due = parsed.changes * number // (len(victims) + 1)
        while _count(senders) < due and any(thread.is_alive() for thread in senders.threads):
            time.sleep(0.01)
        time.sleep(rng.random())
        victim.kill()
        victim.start()
        killed += 1
    for thread in senders.threads:
        thread.join()
    changing = time.perf_counter() - began
    end = time.monotonic() + _SETTLE
    while store.pending() and time.monotonic() < end:
        time.sleep(0.2)
    # A write that was given up may still arrive; what it may have overtaken is written once more after that.
    time.sleep(store.settle + 10)
    problems = senders.problems + _scanned(milvus.uri, twins, senders.expected)
    counts = Counter(problem.partition(":")[0] for problem in problems)
    done = senders.done
    print(
        f"\n{_count(senders)} changes ({done['PUT']} put, {done['PATCH']} patched, {done['DELETE']} deleted) in "
        f"{changing:.0f} s; {killed} kills, {parsed.kills} of each; {done['sent again']} times sent again, "
        f"{done['sent when Milvus was away']} acknowledged while Milvus was away; {store.pending()} pending in the end"
    )
    kinds = ("missing", "back from the dead", "twice", "zeroed", "of another version")
    print("\n| " + " | ".join(kinds) + " |\n|" + " ---: |" * len(kinds))
    print("| " + " | ".join(str(counts[kind]) for kind in kinds) + " |", flush=True)
    return problems


def _count(senders: _Senders) -> int:
    return sum(senders.done[kind] for kind in ("PUT", "PATCH", "DELETE"))


def _scanned(uri: str, twins: Twins, expected: Expected) -> list[str]:
    """What is wrong with a collection."""
    wanted: Expected = {**dict.fromkeys(twins.items, 0), **expected}
    found: dict[str, set[int]] = {}
    images = Counter[str]()
    problems = []
    with MilvusIndex(uri, twins.collection, timeout=60) as index:
        for page in index.scan(["item_id", "version", "vector"]):
            for row in page:
                images[row["image_id"]] += 1
                found.setdefault(row["item_id"], set()).add(row["version"])
                if not abs(float(np.linalg.norm(row["vector"])) - 1) < 1e-3:
                    problems.append(f"zeroed: {row['image_id']}")
    problems += [f"twice: {image_id}" for image_id, times in images.items() if times > 1]
    for name, version in wanted.items():
        there = found.pop(name, set())
        if version is None and there:
            problems.append(f"back from the dead: {name} in version {there}")
        elif version is not None and not there:
            problems.append(f"missing: {name}, version {version}")
        elif version is not None and there != {version}:
            problems.append(f"of another version: {name} is {there}, not {version}")
    problems += [f"back from the dead: {name}" for name in found]
    return problems


if __name__ == "__main__":
    main()
