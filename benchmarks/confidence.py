"""Seconds for the intervals of one run and for the comparison of two: python -m benchmarks.confidence."""

import argparse
import time

import numpy as np

from src.eval.bootstrap import cluster_intervals
from src.eval.checkpoint_comparison import compare_checkpoints


def main() -> None:
    """Print a Markdown table, the fastest of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    runs = rng.random((2, arguments.queries, arguments.metrics))
    print(
        "| queries | products | metrics | draws | intervals, s | interval of the difference and permutation test, s |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for products in (arguments.queries, arguments.queries // 4):
        product = np.arange(arguments.queries) % products
        seconds = [float("inf")] * 2
        for _ in range(arguments.rounds):
            start = time.perf_counter()
            cluster_intervals(runs[0], product, resamples=arguments.resamples)
            middle = time.perf_counter()
            compare_checkpoints(runs[0], runs[1], product, resamples=arguments.resamples)
            taken = middle - start, time.perf_counter() - middle
            seconds = [min(pair) for pair in zip(seconds, taken, strict=True)]
        print(
            f"| {arguments.queries:,} | {products:,} | {arguments.metrics} | {arguments.resamples:,} "
            f"| {seconds[0]:.1f} | {seconds[1]:.1f} |"
        )


if __name__ == "__main__":
    main()
