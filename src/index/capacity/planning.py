"""Shards, replicas and machines for a catalogue and its load."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.contracts.errors import ConfigError
from src.index.capacity.figures import Figures, Measured, build_growth, query_growth
from src.index.capacity.growth import Growth
from src.index.capacity.queueing import AnswerTime, slowest_of

__all__ = ["Demand", "Plan", "plan"]

_MOST_SHARDS = 4096
_MOST_REPLICAS = 100_000
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked for. See `--help` for the keys."""

    items: float
    qps: float
    dim: int = 512
    images_per_item: float = 1.0
    layout: str = "hnsw_fp16"
    p99_ms: float = 50.0
    ram_gib: float = 64.0
    ram_share: float = 0.4
    cores: int = 16
    utilisation: float = 0.7
    replicas: int = 2
    updates: float = 0.0
    hedge: bool = False
    cost_per_hour: float | None = None
    figures: Path = Path("outputs/capacity.json")

    def check(self) -> None:
        """Raise `ConfigError` with all that cannot be."""
        positive = ("items", "qps", "dim", "images_per_item", "p99_ms", "ram_gib", "cores", "replicas")
        problems = [
            f"`{name}={getattr(self, name):g}`: must be above 0" for name in positive if getattr(self, name) <= 0
        ]
        for name in ("ram_share", "utilisation"):
            if not 0 < getattr(self, name) < 1:
                problems.append(f"`{name}={getattr(self, name):g}`: must be between 0 and 1")
        if self.updates < 0 or (self.cost_per_hour or 0) < 0:
            problems.append("`updates`, `cost_per_hour`: must not be negative")
        if self.hedge and self.replicas < 2:
            problems.append("`hedge=true`: a second machine to ask needs `replicas=2` or more")
        if problems:
            raise ConfigError("; ".join(problems))

    @property
    def vectors(self) -> float:
        """Images in the index."""
        return self.items * self.images_per_item


@dataclass(frozen=True)
class Plan:
    """One way to do it.

    Attributes:
        shards: parts of the index; every query asks all of them.
        replicas: machines that hold the same shard; a query asks one of them.
        rows: vectors of a shard.
        memory_gib: of a shard's index.
        service_ms: mean time that a query takes a core of a machine.
        utilisation: share of the cores that are busy, updates included.
        p99_ms: of the slowest shard's answer.
        p99_one_ms: of one shard's, beside it: the difference is the price of the fan-out.
        updating: share of a machine's cores that updates take.
        rebuild_hours: time to build a shard's index from its vectors on one core.
    """

    shards: int
    replicas: int
    rows: float
    memory_gib: float
    service_ms: float
    utilisation: float
    p99_ms: float
    p99_one_ms: float
    updating: float
    rebuild_hours: float

    @property
    def machines(self) -> int:
        """Shards times replicas: a machine holds one shard."""
        return self.shards * self.replicas


def plan(demand: Demand, figures: Figures) -> list[Plan]:
    """Every number of shards that needs fewer machines than all smaller ones, the fewest machines last.

    A shard must fit into the share of a machine's memory that the index may take. Fewer shards mean less work in all,
    since a query's time grows more slowly than the vectors (but for an exact scan); more shards mean less time.

    Raises:
        ConfigError: the layout was not measured, or no number of machines meets the demand; the message says what
            hinders.
    """
    measured = figures.of(demand.layout, demand.dim)
    size = measured[-1].bytes_per_vector * demand.vectors
    fewest = max(1, math.ceil(size / (demand.ram_gib * _GIB * demand.ram_share)))
    if fewest > _MOST_SHARDS:
        raise ConfigError(
            f"{size / _GIB:,.0f} GiB of index are more than {_MOST_SHARDS} machines hold with "
            f"`ram_gib={demand.ram_gib:g}` and `ram_share={demand.ram_share:g}`; raise them or take a smaller layout"
        )
    query, build = query_growth(measured), build_growth(measured)
    found: list[Plan] = []
    why = ""
    shards = fewest
    while shards <= max(_MOST_SHARDS, fewest) and shards <= demand.vectors:
        if found and shards * demand.replicas >= found[-1].machines:
            break
        made = _with_shards(shards, demand, measured[-1], query, build)
        if isinstance(made, str):
            why = made
        elif not found or made.machines < found[-1].machines:
            found.append(made)
        # A shard more, as long as that changes much.
        shards = max(shards + 1, math.ceil(shards * 1.1))
    if not found:
        raise ConfigError(f"no number of shards answers in `p99_ms={demand.p99_ms:g}`: {why}")
    return found


def _with_shards(shards: int, demand: Demand, largest: Measured, query: Growth, build: Growth) -> Plan | str:
    """A plan with the fewest replicas, or why there is none."""
    rows = demand.vectors / shards
    mean = query.at(rows) * largest.busy_factor
    service = np.array(largest.query_seconds) * (mean / largest.mean_seconds)
    # Each replica of a shard takes in all of the shard's updates.
    updating = demand.updates / shards * build.at(rows)
    servers = math.floor(demand.cores - updating)
    if servers < 1:
        return (
            f"{demand.updates / shards:,.1f} updates a second and shard take all {demand.cores} cores; use more shards"
        )
    limit = demand.p99_ms / 1e3
    alone = float(np.quantile(service, 0.99))
    if alone > limit:
        return f"with {shards} shards of {rows:,.0f} vectors a query alone takes {alone * 1e3:.1f} ms at P99"
    rate = demand.qps * (1.05 if demand.hedge else 1.0)
    most_busy = demand.utilisation * demand.cores - updating
    if most_busy <= 0:
        return f"updates alone take {updating / demand.cores:.0%} of the cores, `utilisation={demand.utilisation:g}`"
    replicas = max(demand.replicas, math.ceil(rate * mean / min(most_busy, 0.999 * servers)))
    hedge_after = 0.05 if demand.hedge else None
    while replicas <= _MOST_REPLICAS:
        time = AnswerTime(service, servers, rate / replicas)
        p99 = slowest_of(shards, time, 0.99, hedge_after=hedge_after)
        if p99 <= limit:
            return Plan(
                shards=shards,
                replicas=replicas,
                rows=rows,
                memory_gib=rows * largest.bytes_per_vector / _GIB,
                service_ms=mean * 1e3,
                utilisation=(rate / replicas * mean + updating) / demand.cores,
                p99_ms=p99 * 1e3,
                p99_one_ms=slowest_of(1, time, 0.99) * 1e3,
                updating=updating / demand.cores,
                rebuild_hours=rows * build.at(rows) / 3600,
            )
        # Beyond a tenth of the load it is no queue that keeps them waiting.
        if time.utilisation < 0.1:
            return f"with {shards} shards the slowest answers in {p99 * 1e3:.1f} ms at P99, without queueing"
        replicas = max(replicas + 1, math.ceil(replicas * 1.05))
    return f"more than {_MOST_REPLICAS} replicas"
