"""Ten minutes of everything: python -m benchmarks.serving.soak --bundle DIR --minutes 10.

Searches at 60 % of the capacity, another bundle every minute by the API, and items that are put all the time. Every
answer is compared with the one before the load. An item's freshness lag is the time from sending it until a search by
its own photo has found it. Exits 1 where a check fails.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.serving.checks import Check, as_table, failed
from benchmarks.serving.contestants import ours
from benchmarks.serving.figures import summarise
from benchmarks.serving.load import Outcome, Target, closed_load, open_load, run
from benchmarks.serving.memory import growth_per_hour, watch
from benchmarks.serving.photos import photo_requests, read_photos
from benchmarks.serving.running import Server
from benchmarks.serving.truth import Truth
from benchmarks.serving.twin_bundle import write_twin

_ITEMS = 100
"""Items that are put in turn, again and again: the catalogue does not grow for ever."""

_ID = "soak-"

_TOKEN = "soak"  # noqa: S105 - of a service on this machine, for these minutes

_FRESH = 10.0
"""Seconds until an item must be found."""

_GROWTH = 0.02
"""Share of its memory that the service may grow by over the soak, by the trend of the second half."""


@dataclass
class Soaked:
    """What was noted.

    Attributes:
        outcomes: of the searches.
        wrong: how many answers were.
        swaps: seconds of each call that swapped bundles; NaN of one that failed.
        puts: statuses of the items that were put.
        lags: seconds from when an item was sent until a search had found it; infinite where none did.
        memory: times and MiB.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    wrong: int = 0
    swaps: list[float] = field(default_factory=list)
    puts: list[int] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def main() -> int:
    """Print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.soak", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; generated ones without it")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--swap-seconds", type=float, default=60, help="from one swap to the next")
    parser.add_argument("--puts", type=float, default=2, help="items put a second")
    parser.add_argument("--load", type=float, default=0.6, help="share of the capacity")
    parser.add_argument("--rate", type=float, help="requests a second, in place of --load")
    parser.add_argument("--ours", default="", metavar="ARGUMENTS", help="further ones for the service")
    arguments = parser.parse_args()
    photos = read_photos(arguments.photos, 200)
    seconds = 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundles"
        for name in ("one", "two"):
            write_twin(arguments.bundle, folder / name, name)
        environment = {"LOOKALIKE_TOKEN": _TOKEN}
        # A cache that is soon full: what it takes is not to be mistaken for a leak.
        kept = ("--bundles", str(folder), "--state", str(Path(scratch) / "state"), "--cache-mib", "4")
        extra = (*kept, *arguments.ours.split())
        with ours(folder / "one", *extra, environment=environment) as server:
            rate = arguments.rate or arguments.load * run(_capacity(server, photos))
            soaked = run(
                soak(
                    server, photos, rate=rate, seconds=seconds, every=arguments.swap_seconds,
                    puts=arguments.puts,
                )
            )  # fmt: skip
    checks = judge(soaked, rate, seconds)
    print(as_table(checks))
    return int(failed(checks))


async def soak(
    server: Server, photos: list[bytes], *, rate: float, seconds: float, every: float, puts: float
) -> Soaked:
    """Load the server, and work on it meanwhile."""
    soaked = Soaked()
    # Made before the load: the second that this takes would end in a burst. One photo more than items: an item that is
    # put again looks otherwise.
    of_items = read_photos(None, _ITEMS + 1, seed=1)
    async with Target(server.port, photo_requests(photos), patience=30) as target:
        truth = await Truth.ask(target, len(photos))
        beside = [
            asyncio.ensure_future(watch(server.tree, soaked.memory, every=min(1.0, seconds / 20))),
            asyncio.ensure_future(_swap(server, soaked, every)),
            asyncio.ensure_future(_put(server, soaked, puts, of_items)),
        ]
        # Round by round, so that answers are compared, and let go of, as they come.
        end, first = time.perf_counter() + seconds, 1_000 * len(photos)
        while (left := end - time.perf_counter()) > 0.1:
            done = await open_load(target, rate=rate, seconds=min(left, every), first=first, seed=first)
            soaked.wrong += sum(truth.wrong(one, new=_ID) for one in done)
            soaked.outcomes += [one.without_body() for one in done]
            first += 1_000 * len(photos)
        for task in beside:
            task.cancel()
        for ended in await asyncio.gather(*beside, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise RuntimeError("what goes on beside the load has ended") from ended
    return soaked


def judge(soaked: Soaked, rate: float, seconds: float) -> list[Check]:
    """What it came to."""
    found = summarise(soaked.outcomes)
    sizes = [size for _, size in soaked.memory]
    start = statistics.median(sizes[len(sizes) // 4 : len(sizes) // 2])
    growth = growth_per_hour(soaked.memory) * seconds / 3600
    taken = [one for one in soaked.swaps if one == one]
    lags = soaked.lags or [float("inf")]
    return [
        Check("searches", f"{len(soaked.outcomes)} at {rate:.0f}/s", "-", bool(soaked.outcomes)),
        Check("not answered with 200", _counted(found.statuses), "none", found.errors == 0),
        Check("wrong answers", str(soaked.wrong), "none", soaked.wrong == 0),
        Check("P50 / P99", f"{found.p50_ms:.1f} / {found.p99_ms:.1f} ms", "P99 200 ms", found.p99_ms <= 200),
        Check(
            "bundles swapped", f"{len(taken)} of {len(soaked.swaps)}, slowest in {max(taken, default=0):.1f} s", "all",
            len(taken) == len(soaked.swaps) > 0,
        ),
        Check(
            "items put", f"{sum(status == 200 for status in soaked.puts)} of {len(soaked.puts)}", "all",
            set(soaked.puts) == {200},
        ),
        Check(
            "freshness lag, P50 / P99 / most",
            " / ".join(f"{1e3 * lag:.0f} ms" for lag in np.percentile(lags, (50, 99, 100), method="higher")),
            f"at most {_FRESH:g} s", max(lags) <= _FRESH,
        ),
        Check(
            "memory: median, peak, trend", f"{start:.0f} MiB, {max(sizes):.0f} MiB, {growth:+.1f} MiB over the soak",
            f"at most {100 * _GROWTH:.0f} % more", growth <= _GROWTH * start,
        ),
    ]  # fmt: skip


def _counted(statuses: Counter[int]) -> str:
    bad = ", ".join(f"{status or 'no answer'} x {count}" for status, count in sorted(statuses.items()) if status != 200)
    return bad or "0"


async def _capacity(server: Server, photos: list[bytes]) -> float:
    async with Target(server.port, photo_requests(photos)) as target:
        await closed_load(target, users=8, seconds=3)
        return summarise(await closed_load(target, users=8, seconds=5, first=1_000_000)).rate


async def _swap(server: Server, soaked: Soaked, every: float) -> None:
    """The two bundles in turn."""
    names = ["two", "one"]

    def request(number: int) -> bytes:
        return _call("POST", "/v1/admin/bundle", {"path": names[number % 2]})

    for number in itertools.count():
        await asyncio.sleep(every)
        # A connection of its own: one that was idle for so long may be closed at any moment.
        async with Target(server.port, request, patience=60) as target:
            outcome = await target.ask(number, time.perf_counter())
        soaked.swaps.append(outcome.seconds if outcome.status == 200 else float("nan"))
        if outcome.status != 200:
            print(f"swap {number}: {outcome.status} {outcome.failure} {outcome.answer}", file=sys.stderr)


async def _put(server: Server, soaked: Soaked, rate: float, photos: list[bytes]) -> None:
    """An item, then searches by its photo until one finds it, then the next item."""
    put = photo_requests(
        photos,
        line=lambda number: f"PUT /v1/items/{_ID}{number % _ITEMS}",
        headers=f"Authorization: Bearer {_TOKEN}\r\n",
    )
    numbers = itertools.count()
    async with (
        Target(server.port, put, patience=30) as items,
        Target(server.port, photo_requests(photos), patience=30) as searches,
    ):
        for number in numbers:
            began = time.perf_counter()
            outcome = await items.ask(number, began)
            soaked.puts.append(outcome.status)
            if outcome.status == 200:
                soaked.lags.append(await _found_after(searches, number, began))
            await asyncio.sleep(max(0.0, began + 1 / rate - time.perf_counter()))


async def _found_after(searches: Target, number: int, began: float) -> float:
    """Seconds until the item that was put is found by its photo, on which it scores 1."""
    while time.perf_counter() < began + _FRESH:
        outcome = await searches.ask(number, time.perf_counter())
        results = json.loads(outcome.answer.body)["results"] if outcome.answer and outcome.status == 200 else []
        if any(one["item_id"] == f"{_ID}{number % _ITEMS}" and one["score"] > 0.999 for one in results):
            return outcome.done - began
    return float("inf")


def _call(method: str, path: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {_TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    ).encode() + data


if __name__ == "__main__":
    sys.exit(main())
