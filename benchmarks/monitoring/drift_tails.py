"""How often two equal samples exceed chi-square's tail: python -m benchmarks.monitoring.drift_tails.

PSI / (1/n + 1/m) of ten equally likely bins, and the corrected likelihood ratio that decides in `compare`. Nothing here
is a timing.
"""

import argparse

import numpy as np

from src.monitoring.drift.chi_square import tail_point
from src.monitoring.drift.comparison import likelihood_ratio, psi

_BINS = 10
_LEVELS = (1e-3, 1e-4, 1e-5)
_PART = 100_000


def main() -> None:
    """Print a table in Markdown: alarms over those that the level allows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring.drift_tails", description=__doc__)
    parser.add_argument("--draws", type=int, default=2_000_000, help="pairs of samples")
    given = parser.parse_args()
    print("| n | m | statistic |" + "".join(f" level {level:g} |" for level in _LEVELS))
    print("| ---: | ---: | --- |" + " ---: |" * len(_LEVELS))
    rng = np.random.default_rng(0)
    limits = np.array([tail_point(level, _BINS - 1) for level in _LEVELS])
    for n, m in ((100, 5000), (500, 5000)):
        over = np.zeros((2, len(_LEVELS)))
        for start in range(0, given.draws, _PART):
            count = min(_PART, given.draws - start)
            now, then = (rng.multinomial(size, np.full(_BINS, 1 / _BINS), count) for size in (n, m))
            for row, found in enumerate((psi(now, then) / (1 / n + 1 / m), likelihood_ratio(now, then)[0])):
                over[row] += (found[:, None] > limits).sum(axis=0)
        for name, found in zip(("PSI", "likelihood ratio, corrected"), over, strict=True):
            cells = "".join(f" {share:.2f} |" for share in found / given.draws / np.array(_LEVELS))
            print(f"| {n} | {m:,} | {name} |{cells}", flush=True)


if __name__ == "__main__":
    main()
