"""What happens to requests when something breaks: python -m benchmarks.serving.faults --bundle DIR.

Each fault has a service of its own, loaded at half of what it can carry. It comes after a third of the time and is
mended after two thirds. Every answer is compared with the one of the same service before the load. Redis and
PostgreSQL are the real servers, killed with SIGKILL. Exits 1 where a check fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.serving.checks import Check, as_table, failed
from benchmarks.serving.contestants import ours
from benchmarks.serving.fault_cases import CASES, Setting
from benchmarks.serving.figures import summarise
from benchmarks.serving.load import Target, closed_load, run
from benchmarks.serving.photos import photo_requests, read_photos
from benchmarks.serving.running import Server


def main() -> int:
    """Print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.faults", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; generated ones without it")
    parser.add_argument("--seconds", type=float, default=12, help="of load, for each fault")
    parser.add_argument("--rate", type=float, help="requests a second; half the capacity without it")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--ours", default="", metavar="ARGUMENTS", help="further ones for the service")
    arguments = parser.parse_args()
    photos = read_photos(arguments.photos, 40)
    extra = tuple(arguments.ours.split())
    rate = arguments.rate
    if rate is None:
        with ours(arguments.bundle, *extra) as server:
            rate = run(_capacity(server, photos)) / 2
    checks = []
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as scratch:
            setting = Setting(arguments.bundle, photos, rate, arguments.seconds, Path(scratch), extra)
            try:
                checks.append(CASES[name](setting))
            except RuntimeError as error:  # A server that does not start; the other faults are tried all the same.
                last = (str(error).strip().splitlines() or [""])[-1]
                checks.append(Check(name, last, "a service that starts", False))
        print(f"{name}: {checks[-1].found}", file=sys.stderr, flush=True)
    print(f"{rate:.0f} requests/s, {arguments.seconds:g} s for each fault\n\n{as_table(checks)}")
    return int(failed(checks))


async def _capacity(server: Server, photos: list[bytes]) -> float:
    async with Target(server.port, photo_requests(photos)) as target:
        await closed_load(target, users=8, seconds=2)
        return summarise(await closed_load(target, users=8, seconds=3, first=1_000_000)).rate


if __name__ == "__main__":
    sys.exit(main())
