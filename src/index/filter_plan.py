"""Filtered search: scan what passes, or search without the filter, further, and drop what does not pass.

A graph that is searched with the filter inside stops when the neighbourhood of the query is explored, whether or not
anything there passed; it then returns k rows that nobody can tell from the k nearest (measured: recall 0.2 where the
filter keeps what is far from the query). A search without the filter is different: if k of its `depth` nearest rows
pass, they are the k nearest that pass, whatever the filter has to do with content. If fewer pass, it is known to have
failed, and what passes is scanned. So the choice is one of cost only, and recall does not hang on it.

**Cost**, in rows scanned: the scan takes `passing` rows; a search of the graph takes `graph_step` rows for each of its
`depth` candidates. Before a search the rows that pass are taken to be spread evenly over the neighbourhood (`lift` 1),
so that depth = (k + 2 sqrt(k)) / pass rate finds k of them 19 times in 20 (the count is about Poisson). They need not
be: with nothing known, a search fails with probability 1/2. It is tried where it pays even so:

    graph + 1/2 scan < scan,    so    graph < 1/2 scan;

then the dearest outcome costs less than one and a half scans. After a failed search, the share that passed nearby is
known (a measured `lift`), and a second, deeper one is tried under the same rule.
"""

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["FilterPlan", "graph_step", "plan_filter"]

_STEP, _STEP_BY_DIM = 4.0, 4000.0
_FAILURE = 0.5


@dataclass(frozen=True)
class FilterPlan:
    """What to do.

    Attributes:
        way: `scan` the allowed rows, or `graph`: search without the filter and drop what does not pass.
        depth: rows that the search must return (so at least its efSearch); 0 for a scan.
        cost: expected, in rows scanned.
    """

    way: Literal["scan", "graph"]
    depth: int
    cost: float


def graph_step(dim: int) -> float:
    """Cost of one candidate of HNSW (m = 32), in rows of a sequential scan of the same storage.

    A candidate brings a few dozen neighbours, each at another place in memory: so much a row of any length, and so much
    a number in it. Measured, one thread, float16: 65 rows at 5 k x 64 and 10 at 100 k x 512; the line through both in
    1/dim, rounded. `python -m benchmarks.filtered_search` prints the machine's own beside its table.

    Args:
        dim: numbers in a vector.
    """
    return _STEP + _STEP_BY_DIM / dim


def plan_filter(*, rows: int, passing: int, k: int, dim: int, lift: float = 1.0, ef_search: int = 64) -> FilterPlan:
    """Choose.

    Args:
        rows: vectors in the index.
        passing: how many of them the filter lets pass, exactly.
        k: rows wanted.
        dim: numbers in a vector.
        lift: pass rate among the query's neighbours over the pass rate of all: 1 if filter and content are
            independent, 0 if nothing near the query passes.
        ef_search: candidates that a search takes anyway.
    """
    scan = FilterPlan("scan", 0, float(passing))
    local_rate = min(1.0, lift * passing / max(1, rows))
    if local_rate == 0 or passing <= k:
        return scan
    depth = max(k, math.ceil((k + 2 * math.sqrt(k * (1 - local_rate))) / local_rate))
    if depth >= rows:
        return scan
    graph = graph_step(dim) * max(ef_search, depth)
    if graph >= (1 - _FAILURE) * passing:
        return scan
    return FilterPlan("graph", depth, graph + _FAILURE * passing)
