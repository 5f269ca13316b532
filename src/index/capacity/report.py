"""A plan in words and figures."""

from collections.abc import Sequence

from src.index.capacity.figures import Figures, build_growth, query_growth
from src.index.capacity.growth import Growth
from src.index.capacity.planning import Demand, Plan

__all__ = ["report_plan"]


def report_plan(demand: Demand, figures: Figures, plans: Sequence[Plan]) -> str:
    """What to print: what was assumed, the ways to do it, and the one with the fewest machines in full."""
    measured = figures.of(demand.layout, demand.dim)
    largest, best = measured[-1], plans[-1]
    machine = ", ".join(f"{key} {value}" for key, value in figures.machine.items())
    lines = [
        f"{demand.vectors:,.0f} vectors of {demand.dim} numbers, {demand.qps:,.0f} queries/s, layout {demand.layout}",
        f"measured on: {machine}; {len(measured)} sizes up to {largest.rows:,}",
        f"a query's time grows as {_law(query_growth(measured))}",
        f"a shard has {best.rows / largest.rows:,.1f} times the largest size measured"
        + (": an extrapolation" if best.rows > largest.rows else ""),
        f"recall@10 at the largest size: {largest.recall_at_10:.4f}; with all cores busy a query takes "
        f"{largest.busy_factor:.2f} times as long",
        "",
        "| shards | replicas | machines | GiB a shard | busy | P99 of one | P99 of the slowest |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.shards} | {one.replicas} | {one.machines} | {one.memory_gib:.1f} | {one.utilisation:.0%} | "
        f"{one.p99_one_ms:.2f} ms | {one.p99_ms:.2f} ms |"
        for one in plans
    ]
    hours = best.machines / (demand.qps * 3600) * 1e6
    cost = f"{hours:.3f} machine-hours a million queries"
    if demand.cost_per_hour is not None:
        cost += f", {hours * demand.cost_per_hour:.4g} at {demand.cost_per_hour:g} an hour"
        cost += f"; {best.machines * demand.cost_per_hour:,.2f} an hour in all"
    lines += [
        "",
        f"machines   {best.machines} of {demand.cores} cores and {demand.ram_gib:g} GiB: "
        f"{best.shards} shards x {best.replicas}",
        f"memory     {best.memory_gib * best.machines:,.1f} GiB of index in all, {best.memory_gib:.1f} on each machine",
        f"a query    {best.service_ms:.3f} ms of one core on each of {best.shards} machines",
        f"fan-out    P99 {best.p99_one_ms:.2f} ms of one shard, {best.p99_ms:.2f} ms until all {best.shards} have "
        "answered" + (" (hedged)" if demand.hedge else ""),
        f"freshness  {demand.updates:,.0f} updates/s take {best.updating:.1%} of each machine's cores "
        f"({build_growth(measured).at(best.rows) * 1e3:.2f} ms each); "
        f"rebuilding a shard takes {best.rebuild_hours:.1f} hours of one core",
        f"cost       {cost}",
    ]
    return "\n".join(lines)


def _law(growth: Growth) -> str:
    text = {
        "linear": f"{growth.a * 1e3:.3g} ms + {growth.b * 1e9:.3g} ns x n",
        "logarithm": f"{growth.a * 1e3:.3g} ms + {growth.b * 1e3:.3g} ms x ln n",
        "power": f"n^{growth.b:.2f}",
    }[growth.law]
    checked = "" if growth.error is None else f" (predicts the largest size from the others within {growth.error:.0%})"
    return text + checked
