"""Plans against their own demand, from figures made up for the purpose."""

import numpy as np
import pytest

from src.contracts.errors import ConfigError
from src.index.capacity.figures import QUANTILES, Figures, Measured
from src.index.capacity.planning import Demand, plan
from src.index.capacity.report import report_plan


def measured(layout: str, rows: int) -> Measured:
    mean = 2e-5 + 1e-7 * rows if layout == "exact" else 2e-5 * rows**0.2
    return Measured(
        layout=layout,
        rows=rows,
        dim=512,
        bytes_per_vector=2048.0 if layout == "exact" else 1296.0,
        build_seconds_per_vector=1e-4 * rows**0.2,
        query_seconds=tuple(mean * (0.9 + 0.2 * QUANTILES)),
        busy_factor=1.1,
        recall_at_10=0.99,
        queries=500,
    )


FIGURES = Figures(
    {"processor": "P", "cores": 2},
    tuple(measured(kind, n) for kind in ("exact", "hnsw_fp16") for n in (10**4, 10**5, 10**6)),
)


def best(**kwargs):
    return plan(Demand(**{"items": 100e6, "qps": 10_000.0, **kwargs}), FIGURES)[-1]


def test_the_design_s_demand_is_met() -> None:
    made = best()
    assert made.memory_gib <= 64 * 0.4
    assert made.shards * made.memory_gib == pytest.approx(100e6 * 1296 / 2**30, rel=0.01)
    assert made.p99_one_ms <= made.p99_ms <= 50
    assert made.utilisation <= 0.7
    assert made.machines == made.shards * made.replicas
    # The cores that the queries take are there: 10,000 queries to each shard, and the updates.
    assert made.machines * 16 * 0.7 >= 10_000 * made.shards * made.service_ms / 1e3
    # One replica fewer would not do.
    assert (made.replicas - 1) * 16 * 0.7 < 10_000 * made.service_ms / 1e3 or made.replicas == 2


def test_each_demand_costs_machines() -> None:
    base = best().machines
    assert best(items=400e6).machines > base
    assert best(qps=100_000.0, replicas=1).machines > 4 * best(replicas=1).machines
    assert best(ram_gib=16.0).shards > best().shards
    assert best(utilisation=0.35, qps=50_000.0).machines > best(qps=50_000.0).machines
    assert best(replicas=5).machines > base
    assert best(updates=20_000.0).machines > base
    assert best(images_per_item=2.0) == best(items=200e6)


def test_an_exact_scan_is_split_until_it_is_quick_enough() -> None:
    made = best(layout="exact", items=10e6, qps=100.0)
    assert made.p99_ms <= 50
    assert made.rows * 1e-7 < 0.05
    plans = plan(Demand(items=10e6, qps=100.0, layout="exact"), FIGURES)
    assert [one.machines for one in plans] == sorted((one.machines for one in plans), reverse=True)


def test_asking_twice_shortens_the_tail() -> None:
    spread = np.where(QUANTILES > 0.97, 20e-3, 1e-3)
    slow = Measured(**{**measured("hnsw_fp16", 10**6).__dict__, "query_seconds": tuple(spread)})
    figures = Figures({}, (slow,))
    plain, hedged = (plan(Demand(items=100e6, qps=100.0, hedge=hedge), figures)[-1] for hedge in (False, True))
    assert hedged.p99_ms < plain.p99_ms


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (
            {"layout": "ivf"},
            "`layout=ivf`, `dim=512`: not measured; the file has layout=exact dim=512, layout=hnsw",
        ),
        ({"dim": 128}, "`dim=128`: not measured"),
        ({"p99_ms": 0.01}, "a query alone takes"),
        ({"items": 1e13}, "GiB of index are more than 4096 machines"),
        ({"items": 1e6, "updates": 1e9}, "updates"),
    ],
)
def test_what_cannot_be_met_is_refused_with_its_reason(demand: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        best(**demand)


def test_all_senseless_values_are_listed() -> None:
    with pytest.raises(ConfigError, match=r"`items=0`.*`utilisation=1`.*must not be negative") as caught:
        Demand(items=0, qps=1.0, utilisation=1.0, updates=-1.0).check()
    assert "qps" not in str(caught.value)
    with pytest.raises(ConfigError, match="needs `replicas=2`"):
        Demand(items=1, qps=1.0, hedge=True, replicas=1).check()


def test_costs_are_machine_hours_unless_a_price_is_given() -> None:
    demand = Demand(items=100e6, qps=10_000.0)
    plans = plan(demand, FIGURES)
    text = report_plan(demand, FIGURES, plans)
    assert f"{plans[-1].machines / 36:.3f} machine-hours a million queries" in text
    assert " an hour" not in text
    priced = report_plan(Demand(items=100e6, qps=10_000.0, cost_per_hour=2.0), FIGURES, plans)
    assert f"{2 * plans[-1].machines:,.2f} an hour in all" in priced
