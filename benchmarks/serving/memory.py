"""Memory over time."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.serving.process_tree import ProcessTree

__all__ = ["growth_per_hour", "watch"]


async def watch(tree: ProcessTree, samples: list[tuple[float, float]], *, every: float) -> None:
    """Note the time and the resident MiB, until cancelled."""
    while True:
        samples.append((time.perf_counter(), tree.resident_mib()))
        await asyncio.sleep(every)


def growth_per_hour(samples: Sequence[tuple[float, float]]) -> float:
    """The trend of the second half in MiB an hour, by Theil and Sen: the median slope of all pairs.

    Swaps hold two bundles for a while; a median does not see such peaks, as long as they are rare.
    """
    times, sizes = np.array(samples[len(samples) // 2 :]).T
    if len(times) > 400:  # All pairs of more say the same.
        times, sizes = times[:: len(times) // 400], sizes[:: len(times) // 400]
    first, second = np.triu_indices(len(times), 1)
    return float(3600 * np.median((sizes[second] - sizes[first]) / (times[second] - times[first])))
