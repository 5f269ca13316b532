"""What damaged images, and files made to be costly, do to a running service.

    python -m benchmarks.serving.mutated_images --bundle DIR [--count 6000] [--path /v1/search]

Starts the service, sends every file, and prints what was answered, how long the slowest answer took and how much memory
the process held at most. Exits with 1 if any answer is none of 200, 413, 415 and 422, or a limit is passed.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.serving.bombs import BOMBS
from benchmarks.serving.mutations import mutations

__all__ = ["ALLOWED", "Outcome", "resident_mb", "send_all"]

ALLOWED = frozenset({200, 413, 415, 422})
"""Searched; or too large, no image, damaged: the caller's own doing."""

MOST_SECONDS = 10.0
MOST_MB_A_WORKER = 600
"""Of 64 megapixels: 256 MB in the decoder, 192 MB as RGB, and what converting a strip takes."""


@dataclass
class Outcome:
    """What was answered.

    Attributes:
        statuses: how often each status came.
        kinds: how often each type of problem came.
        slowest: seconds and name of the slowest answer.
        wrong: names of the files whose answer is not allowed, with the status.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    wrong: list[str] = field(default_factory=list)


def send_all(url: str, files: Iterable[tuple[str, bytes]], *, path: str = "/v1/search", at_once: int = 4) -> Outcome:
    """Search with each file.

    Args:
        url: where the service listens.
        files: names and bytes.
        path: what is asked, with its query string.
        at_once: requests in flight.
    """
    outcome = Outcome()
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor(at_once) as pool:

        def send(file: tuple[str, bytes]) -> tuple[str, float, httpx.Response]:
            started = time.perf_counter()
            response = client.post(path, files={"image": ("photo.jpg", file[1], "image/jpeg")})
            return file[0], time.perf_counter() - started, response

        for name, seconds, response in pool.map(send, files):
            outcome.statuses[response.status_code] += 1
            outcome.slowest = max(outcome.slowest, (seconds, name))
            media_type = response.headers.get("content-type", "")
            if response.status_code != 200:
                outcome.kinds[response.json().get("type", "").rpartition(":")[2]] += 1
            expected = "application/json" if response.status_code == 200 else "application/problem+json"
            if response.status_code not in ALLOWED or media_type != expected:
                outcome.wrong.append(f"{name}: {response.status_code} {media_type}")
    return outcome


def resident_mb(pid: int, *, peak: bool = False) -> int:
    """Memory of a process in MB, now or at most (Linux)."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(wanted)).split()[1]) // 1024


@contextmanager
def _service(bundle: Path, workers: int) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "serve", "--bundle", str(bundle), "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--path", default="/v1/search?box=auto", help="what is asked (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    most_mb = arguments.workers * MOST_MB_A_WORKER
    with _service(arguments.bundle, arguments.workers) as (pid, url):
        before = resident_mb(pid)
        started = time.perf_counter()
        named = ((f"{name}, {way}", data) for name, way, data in mutations(arguments.count))
        mutated = send_all(url, named, path=arguments.path)
        seconds = time.perf_counter() - started
        after_mutated = resident_mb(pid, peak=True)
        bombs = send_all(url, ((name, make()) for name, make in BOMBS.items()), path=arguments.path, at_once=1)
        peak = resident_mb(pid, peak=True)
        healthy = httpx.get(f"{url}/readyz").status_code == 200
    heads = " ".join(f"{head:>6}" for head in ("files", "200", "413", "415", "422", "other"))
    print(f"{'':24} {heads} {'slowest s':>10} {'grew MB':>8}")
    for name, outcome, held in (("mutated", mutated, after_mutated), ("made to be costly", bombs, peak)):
        counts = [outcome.statuses[status] for status in sorted(ALLOWED)]
        total = outcome.statuses.total()
        print(
            f"{name:24} {total:>6} " + " ".join(f"{count:>6}" for count in counts)
            + f" {total - sum(counts):>6} {outcome.slowest[0]:>10.2f} {held - before:>8}"
        )  # fmt: skip
    print(f"{arguments.count / seconds:.0f} mutated files a second; slowest: {mutated.slowest[1]}; {bombs.slowest[1]}")
    print(f"limits: {MOST_SECONDS:g} s an answer, {most_mb} MB more for {arguments.workers} workers")
    wrong = mutated.wrong + bombs.wrong
    slow = max(mutated.slowest, bombs.slowest)[0] > MOST_SECONDS
    print("\n".join(wrong[:20]) or "no answer that is not allowed")
    return 1 if wrong or slow or peak - before > most_mb or not healthy else 0


if __name__ == "__main__":
    sys.exit(main())
