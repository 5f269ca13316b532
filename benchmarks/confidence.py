"""Milliseconds for the intervals of one run and for the comparison of two: python -m benchmarks.confidence."""

import argparse
import time

import numpy as np

from src.eval.checkpoint_comparison import compare_checkpoints
from src.eval.intervals import cluster_intervals


def main() -> None:
    """Print a Markdown table, the fastest of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--permutations", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    runs = rng.random((2, arguments.queries, arguments.metrics))
    print("| queries | products | metrics | permutations | intervals, ms | permutation test and its interval, ms |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for products in (arguments.queries, arguments.queries // 4):
        product = np.arange(arguments.queries) % products
        seconds = [float("inf")] * 2
        for _ in range(arguments.rounds):
            start = time.perf_counter()
            cluster_intervals(runs[0], product)
            middle = time.perf_counter()
            compare_checkpoints(runs[0], runs[1], product, resamples=arguments.permutations)
            taken = middle - start, time.perf_counter() - middle
            seconds = [min(pair) for pair in zip(seconds, taken, strict=True)]
        print(
            f"| {arguments.queries:,} | {products:,} | {arguments.metrics} | {arguments.permutations:,} "
            f"| {1000 * seconds[0]:.0f} | {1000 * seconds[1]:.0f} |"
        )


if __name__ == "__main__":
    main()
