"""From one replica to ten thousand queries a second: python -m benchmarks.serving.scaling --bundle DIR.

Measures a replica without load and at full load, predicts P99 at the loads between with a queueing model, measures it
there, and shows the error. Then the replicas for --qps at --p99-ms. It says what of a request's CPU is not the
encoder's, too: that part stays on the CPU when a GPU embeds, and bounds what a GPU can bring.
"""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.contestants import ours
from benchmarks.serving.figures import Summary, summarise
from benchmarks.serving.load import Target, closed_load, open_load, run
from benchmarks.serving.photos import photo_requests, read_photos
from benchmarks.serving.replica_model import Replica, replicas_for
from benchmarks.serving.running import Server
from benchmarks.serving.searcher import Searcher

_LOADS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
_BATCH = 8


@dataclass(frozen=True)
class Measured:
    """A replica's figures.

    Attributes:
        replica: without load and at full load.
        cpu_ms: of the server, per request at full load.
        loads: what Poisson arrivals at a rate came to.
    """

    replica: Replica
    cpu_ms: float
    loads: list[tuple[float, Summary]]


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.scaling", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; generated ones without it")
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--users", type=int, default=16, help="of full load")
    parser.add_argument("--encoder-threads", type=int, default=1)
    parser.add_argument("--qps", type=float, default=10_000)
    parser.add_argument("--p99-ms", type=float, default=200)
    parser.add_argument("--utilisation", type=float, default=0.7, help="share of its capacity that a replica may carry")
    parser.add_argument("--ours", default="", metavar="ARGUMENTS", help="further ones for the service")
    arguments = parser.parse_args()
    photos = read_photos(arguments.photos, 500)
    threads = str(arguments.encoder_threads)
    with ours(arguments.bundle, "--encoder-threads", threads, *arguments.ours.split()) as server:
        measured = run(measure(server, photos, arguments.users, arguments.seconds))
    encoder_ms = encoder_cpu_ms(arguments.bundle, photos, arguments.encoder_threads, arguments.seconds / 4)
    print(as_tables(measured, encoder_ms, arguments.qps, arguments.p99_ms, arguments.utilisation))


async def measure(server: Server, photos: list[bytes], users: int, seconds: float) -> Measured:
    """One user, many users, and the loads between."""
    async with Target(server.port, photo_requests(photos)) as target:
        await closed_load(target, users=users, seconds=min(3.0, seconds))
        alone = await closed_load(target, users=1, seconds=seconds, first=1_000_000)
        cpu = server.tree.cpu_seconds()
        full = await closed_load(target, users=users, seconds=seconds, first=2_000_000)
        cpu = server.tree.cpu_seconds() - cpu
        unloaded = np.array([one.seconds for one in alone if one.status == 200])
        replica = Replica(unloaded, summarise(full).rate, len(os.sched_getaffinity(0)))
        loads = []
        for number, share in enumerate(_LOADS):
            rate = share * replica.capacity
            done = await open_load(target, rate=rate, seconds=seconds, first=3_000_000 + 100_000 * number, seed=number)
            loads.append((rate, summarise(done)))
    return Measured(replica, 1e3 * cpu / len(full), loads)


def encoder_cpu_ms(bundle: Path, photos: list[bytes], threads: int, seconds: float) -> float:
    """CPU of the encoder for one photo, in full batches."""
    searcher = Searcher(bundle, encoder_threads=threads)
    batch = np.stack([searcher.decode(photo) for photo in photos[:_BATCH]])
    searcher.embed(batch)
    end, start, done = time.perf_counter() + seconds, time.process_time(), 0
    while time.perf_counter() < end:
        searcher.embed(batch)
        done += len(batch)
    return 1e3 * (time.process_time() - start) / done


def as_tables(measured: Measured, encoder_ms: float, qps: float, p99_ms: float, utilisation: float) -> str:
    """Predicted beside measured, and what follows for many replicas."""
    replica = measured.replica
    lines = [
        "| of capacity | requests/s | measured P50 ms | measured P99 ms | M/D/c P99 ms (error) | M/G/c P99 ms (error) "
        "| not answered |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rate, found in measured.loads:
        predicted = (1e3 * replica.quantile(0.99, rate, varied=varied) for varied in (False, True))
        cells = [f"{value:.1f} ({100 * (value / found.p99_ms - 1):+.0f} %)" for value in predicted]
        share = f"{100 * rate / replica.capacity:.0f} %"
        lines.append(
            f"| {share} | {rate:.0f} | {found.p50_ms:.1f} | {found.p99_ms:.1f} | {' | '.join(cells)} | {found.errors} |"
        )
    count = replicas_for(replica, qps, p99=p99_ms / 1e3, utilisation=utilisation)
    rest = measured.cpu_ms - encoder_ms
    unloaded = 1e3 * np.quantile(replica.unloaded, (0.5, 0.99), method="higher")
    rows = [
        ("capacity of a replica, requests/s", f"{replica.capacity:.0f} on {replica.cores} cores"),
        ("unloaded P50 / P99, ms", f"{unloaded[0]:.1f} / {unloaded[1]:.1f}"),
        ("CPU, ms a request", f"{measured.cpu_ms:.2f}, of it the encoder {encoder_ms:.2f}"),
    ]
    if count is None:
        rows.append((f"replicas for {qps:,.0f}/s", f"none: P99 is above {p99_ms:g} ms without load"))
    else:
        each = qps / count
        rows += [
            (f"replicas for {qps:,.0f}/s at P99 below {p99_ms:g} ms", f"{count}, {count * replica.cores} cores"),
            ("load of each", f"{each:.0f}/s, {100 * each / replica.capacity:.0f} % of its capacity"),
            ("P99 of each by M/G/c, ms", f"{1e3 * replica.quantile(0.99, each, varied=True):.1f}"),
        ]
    rows.append(
        (
            "cores that decoding, searching and HTTP take, whatever embeds",
            f"{qps * rest / 1e3:.0f}, {qps * rest / 1e3 / utilisation:.0f} at {100 * utilisation:.0f} % of them busy",
        )
    )
    lines += ["", "| what | figure |", "| --- | --- |", *(f"| {what} | {figure} |" for what, figure in rows)]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
