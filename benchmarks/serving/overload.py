"""Five times the capacity for ten seconds: python -m benchmarks.serving.overload --bundle DIR.

Steps, on one server: a closed loop finds its capacity; Poisson arrivals at a tenth of it give the unloaded P99; then
half of the capacity; five times; and half of it again, by the same arrivals, which two seconds on must be served as
they were before. How many bursts that half refuses is the price of the places, and is told. Accepted requests and
refusals may take twice the unloaded P99 plus the batch wait. All times count from when a request was due, so that the
load generator's own delays, which share the two cores, are in them. Exits 1 where a check fails.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving.checks import Check, as_table, at_most, failed
from benchmarks.serving.contestants import ours
from benchmarks.serving.figures import percentile_ms, summarise
from benchmarks.serving.load import Outcome, Target, closed_load, open_load, run
from benchmarks.serving.photos import Build, photo_requests, read_photos
from benchmarks.serving.running import Server

_NORMAL_AFTER = 2.0
"""Seconds after the overload until which requests may still be slow."""

_ENOUGH = 100
"""Requests at least that tell a P99 without overload."""

_GROWTH = 1.1
"""What resident memory may grow by under overload, over what full load took."""


def main() -> int:
    """Print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.overload", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; generated ones without it")
    parser.add_argument("--seconds", type=float, default=10, help="of overload")
    parser.add_argument("--times", type=float, default=5, help="of the capacity")
    parser.add_argument("--users", type=int, default=16, help="of the closed loop that finds the capacity")
    parser.add_argument("--batch-wait-ms", type=float, default=5, help="as the service is set")
    parser.add_argument("--ours", default="", metavar="ARGUMENTS", help="further ones for the service")
    arguments = parser.parse_args()
    build = photo_requests(read_photos(arguments.photos, 500))
    with ours(arguments.bundle, *arguments.ours.split()) as server:
        checks = run(
            overload(
                server,
                build,
                seconds=arguments.seconds,
                times=arguments.times,
                users=arguments.users,
                batch_wait_ms=arguments.batch_wait_ms,
            )
        )
    print(as_table(checks))
    return int(failed(checks))


async def overload(
    server: Server, build: Build, *, seconds: float, times: float, users: int, batch_wait_ms: float
) -> list[Check]:
    """Run the steps; see the module."""
    async with Target(server.port, build) as target:
        await closed_load(target, users=users, seconds=min(3.0, seconds))
        full = summarise(await closed_load(target, users=users, seconds=seconds, first=1_000_000))
        resident = server.tree.resident_mib()
        calm, moderate = full.rate / 10, full.rate / 2

        async def half(first: int) -> list[Outcome]:
            seconds = _NORMAL_AFTER + max(_NORMAL_AFTER, _ENOUGH / moderate)
            done = await open_load(target, rate=moderate, seconds=seconds, first=first, seed=1)
            return [one for one in done if one.due > done[0].due + _NORMAL_AFTER]

        unloaded = await open_load(target, rate=calm, seconds=max(seconds, _ENOUGH / calm), first=2_000_000)
        earlier = await half(5_000_000)
        sampling = asyncio.ensure_future(_peak_mib(server))
        hard = await open_load(target, rate=times * full.rate, seconds=seconds, first=3_000_000)
        sampling.cancel()
        peak = await sampling
        later = await half(4_000_000)
    limit = 2 * percentile_ms(unloaded, 99) + batch_wait_ms
    accepted = [one for one in hard if one.status == 200]
    refused = [one for one in hard if one.status == 503]
    before, now = (sum(one.status != 200 for one in half_load) for half_load in (earlier, later))
    late_ms = max(1e3 * (one.sent - one.due) for one in hard)
    hinted = all(one.answer and one.answer.headers.get("retry-after") for one in refused)
    return [
        Check("capacity, closed loop", f"{full.rate:.0f}/s", "-", full.errors == 0),
        Check("unloaded P99", f"{percentile_ms(unloaded, 99):.1f} ms", "-", _all_served(unloaded)),
        Check(
            "offered", f"{len(hard)}, {times:g}x, sent at most {late_ms:.0f} ms late by the generator", "-", bool(hard)
        ),
        Check(
            "answered 200 / refused 503 / otherwise",
            f"{len(accepted)} / {len(refused)} / {len(hard) - len(accepted) - len(refused)}",
            "otherwise none",
            len(accepted) + len(refused) == len(hard),
        ),
        Check(
            "served under overload", f"{len(accepted) / seconds:.0f}/s", "half the capacity",
            len(accepted) / seconds >= full.rate / 2,
        ),
        at_most("P99 of the accepted", percentile_ms(accepted, 99), limit, "ms"),
        at_most("P99 of the refusals", percentile_ms(refused, 99), limit, "ms"),
        Check("refusals say when to come again", "Retry-After", "all", hinted),
        at_most("memory, peak", peak, _GROWTH * resident, "MiB"),
        Check(
            f"not answered at half the capacity, {_NORMAL_AFTER:g} s after", f"{now} of {len(later)}",
            f"{before} of {len(earlier)} before, give or take", now <= before + 2 * (before + 1) ** 0.5,
        ),
        at_most("P99 then, at half the capacity", percentile_ms(later, 99), limit, "ms"),
    ]  # fmt: skip


def _all_served(outcomes: Sequence[Outcome]) -> bool:
    return bool(outcomes) and all(one.status == 200 for one in outcomes)


async def _peak_mib(server: Server) -> float:
    peak = 0.0
    try:
        while True:
            peak = max(peak, server.tree.resident_mib())
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return peak


if __name__ == "__main__":
    sys.exit(main())
