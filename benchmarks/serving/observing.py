"""What counting queries for drift costs a service: python -m benchmarks.serving.observing --bundle DIR.

Rounds alternate between a service with `--drift` and one without, each under users that always wait for an answer.
Windows are compared and written every few seconds, which is oftener than in earnest. No photo is sent twice, so that
each is embedded and counted.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.serving.contestants import serving
from benchmarks.serving.photos import photo_requests, read_photos
from benchmarks.serving.throughput import Round, measure

_NAMES = ("without", "with --drift")


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.observing", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; generated ones without it")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=15, help="of each load; a round has four")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--drift-minutes", type=float, default=0.1, help="of a window")
    given = parser.parse_args()
    build = photo_requests(read_photos(given.photos, 500))
    rounds: dict[str, list[Round]] = {name: [] for name in _NAMES}
    written = 0
    for number in range(given.rounds):
        # Turned around each time, so that what drifts hits both alike.
        for name in _NAMES if number % 2 == 0 else reversed(_NAMES):
            with tempfile.TemporaryDirectory() as folder:
                watched = ["--drift", folder, "--drift-minutes", str(given.drift_minutes)]
                with serving("ours", given.bundle, *(watched if name == _NAMES[1] else [])) as server:
                    rounds[name].append(measure(server, build, given.users, given.seconds))
                files = len(list(Path(folder).glob("*.window")))
                written += files
                if name == _NAMES[1] and not files:
                    raise SystemExit("no window was written: the bundle has no drift reference; export it again")
            print(f"round {number + 1}, {name}: {rounds[name][-1].closed.rate:.0f}/s", flush=True)
    print(f"\n{as_table(rounds)}\n{written} windows were written")


def as_table(rounds: dict[str, list[Round]]) -> str:
    """Medians over the rounds; the ratio is that of each round's two rates, with the smallest and the largest."""
    without, observed = (rounds[name] for name in _NAMES)
    ratios = [on.closed.rate / off.closed.rate for on, off in zip(observed, without, strict=True)]
    lines = [
        "| | requests/s | of the one without | P99 ms at half | CPU ms/request | MiB | errors |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, found in rounds.items():
        share = "1"
        if found is observed:
            share = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        cells = [
            f"{statistics.median(one.closed.rate for one in found):.0f}",
            share,
            f"{statistics.median(one.half.p99_ms for one in found):.1f}",
            f"{statistics.median(one.cpu_ms for one in found):.2f}",
            f"{statistics.median(one.memory_mib for one in found):.0f}",
            f"{sum(one.closed.errors + one.half.errors for one in found)}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
