"""Requests a second of our service and its peers: python -m benchmarks.serving.throughput --bundle DIR.

Rounds alternate: in each, every server is started, warmed up, loaded by users that always wait for an answer (closed
loop), and then by Poisson arrivals at half of what it just reached. All have the same ONNX file, index, decoder and
threads of the encoder; ours and LitServe batch. The limit is decode, embed and search in a loop without HTTP, in the
quickest of five ways of keeping both cores busy, each printed; that way is measured anew in each round.

No photo is sent twice: a comment in each JPEG holds a number, so that no cache has its embedding.
"""

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.contestants import CONTESTANTS, serving
from benchmarks.serving.figures import Summary, summarise
from benchmarks.serving.limit import photos_per_second, ways_of
from benchmarks.serving.load import Target, closed_load, open_load, run
from benchmarks.serving.photos import Build, photo_requests, read_photos
from benchmarks.serving.running import Server

_WARM = 3.0
"""Seconds of load before anything is counted."""


@dataclass(frozen=True)
class Round:
    """One contestant's figures of one round.

    Attributes:
        closed: under the users.
        half: at half of its rate.
        cpu_ms: CPU of the server and its children, per request under the users.
        own_cpu_ms: CPU of the load generator, per request.
        memory_mib: after the load, what is shared counted once.
    """

    closed: Summary
    half: Summary
    cpu_ms: float
    own_cpu_ms: float
    memory_mib: float


def main() -> None:
    """Print the ways of the limit, then one Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.throughput", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; generated ones without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--encoder-threads", type=int, default=1, help="of one call, for all")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    for name in CONTESTANTS:
        parser.add_argument(f"--{name.lower()}", default="", metavar="ARGUMENTS", help=f"further ones for {name}")
    arguments = parser.parse_args()
    photos = read_photos(arguments.photos, 500)
    cores = len(os.sched_getaffinity(0))
    size = statistics.median(map(len, photos)) / 1000
    print(
        f"{len(photos)} photos ({'given' if arguments.photos else 'generated'}, median {size:.0f} KB), {cores} cores\n"
    )
    limits = {}
    for way in ways_of(cores):
        limits[way] = photos_per_second(way, arguments.bundle, photos, seconds=arguments.seconds)
        print(f"limit, {way}: {limits[way]:.0f} photos/s", flush=True)
    best = max(limits, key=lambda way: limits[way])
    most = []
    rounds: dict[str, list[Round]] = {name: [] for name in arguments.only}
    for number in range(arguments.rounds):
        most.append(photos_per_second(best, arguments.bundle, photos, seconds=arguments.seconds))
        # Turned around each time, so that what drifts hits all alike.
        for name in arguments.only if number % 2 == 0 else reversed(arguments.only):
            extra = getattr(arguments, name.lower().replace("-", "_")).split()
            with serving(name, arguments.bundle, "--encoder-threads", str(arguments.encoder_threads), *extra) as server:
                rounds[name].append(measure(server, photo_requests(photos), arguments.users, arguments.seconds))
            print(f"round {number + 1}, {name}: {rounds[name][-1].closed.rate:.0f}/s", flush=True)
    print(f"\n{as_table(rounds, most)}")


def measure(server: Server, build: Build, users: int, seconds: float) -> Round:
    """Load one server."""

    async def loads(target: Target) -> Round:
        await closed_load(target, users=users, seconds=min(_WARM, seconds))
        cpu, own = server.tree.cpu_seconds(), time.process_time()
        done = await closed_load(target, users=users, seconds=seconds, first=1_000_000)
        cpu, own = server.tree.cpu_seconds() - cpu, time.process_time() - own
        closed = summarise(done)
        half = summarise(await open_load(target, rate=closed.rate / 2, seconds=seconds, first=2_000_000))
        memory = server.tree.proportional_mib()
        return Round(closed, half, 1e3 * cpu / len(done), 1e3 * own / len(done), memory)

    async def connected() -> Round:
        async with Target(server.port, build) as target:
            return await loads(target)

    return run(connected())


def as_table(rounds: dict[str, list[Round]], limits: list[float]) -> str:
    """Medians over the rounds; `limits` is the pipeline's own in each, photos a second."""
    most = statistics.median(limits)
    lines = [
        "| | requests/s | of the limit | P50 ms at half | P99 ms at half | server CPU ms/request | MiB | errors "
        "| generator CPU ms/request |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| the pipeline's own limit | {most:.0f} | 100 % | | | | | | |",
    ]
    for name, found in rounds.items():
        rate = statistics.median(one.closed.rate for one in found)
        cells = [
            f"{rate:.0f}",
            f"{100 * statistics.median(one.closed.rate / own for one, own in zip(found, limits, strict=True)):.0f} %",
            f"{statistics.median(one.half.p50_ms for one in found):.1f}",
            f"{statistics.median(one.half.p99_ms for one in found):.1f}",
            f"{statistics.median(one.cpu_ms for one in found):.2f}",
            f"{statistics.median(one.memory_mib for one in found):.0f}",
            str(sum(one.closed.errors + one.half.errors for one in found)),
            f"{statistics.median(one.own_cpu_ms for one in found):.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
