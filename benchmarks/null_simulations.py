"""How often intervals hold the truth and verdicts are right, in simulation: python -m benchmarks.null_simulations.

Each table's last column is the Monte Carlo standard error of its shares, at most.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from scipy import special, stats

from src.eval.checkpoint_comparison import Difference, compare_checkpoints
from src.eval.comparison import verdict_of
from src.eval.intervals import Interval, cluster_intervals, effective_products, product_totals
from src.eval.method_comparison import compare_methods

__all__ = ["Population", "World", "coverage", "equals", "false_alarms", "power"]

_RESAMPLES = 600
"""Permutations, and draws of the bootstrap. Fewer than in earnest: they move the ends by 3 % of the width."""


@dataclass(frozen=True)
class Population:
    """Products whose queries succeed with a rate of their own, Beta distributed.

    Attributes:
        products: drawn each time.
        sizes: see `_queries`.
        rate: the true value.
        icc: correlation of two queries of one product.
    """

    products: int
    sizes: str
    rate: float
    icc: float = 0.3

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Values of shape (queries, 1), 0 or 1, and each query's product."""
        product = _queries(rng, self.products, self.sizes)
        scale = (1 - self.icc) / self.icc
        level = rng.beta(self.rate * scale, (1 - self.rate) * scale, self.products)
        return (rng.random(len(product)) < level[product]).astype(float)[:, None], product


@dataclass(frozen=True)
class World:
    """Runs on the same queries: a query succeeds where the sum of these normal effects is positive.

    Attributes:
        products: drawn each time.
        sizes: see `_queries`.
        product: standard deviation of what makes a product hard for all runs.
        query: of what makes a query hard for all runs.
        seed_effect: standard deviation of what a training's seed does to all queries.
        method_product: of what one method finds harder at a product than another does.
        seed_product: of what one seed finds harder at a product than another does.
        shift: what the candidate's method is better by.
        level: 1.0 answers about three queries in four, 2.8 about 95 of 100.
    """

    products: int = 80
    sizes: str = "few"
    product: float = 1.2
    query: float = 0.7
    seed_effect: float = 0.0
    method_product: float = 0.3
    seed_product: float = 0.4
    shift: float = 0.0
    level: float = 1.0

    def draw(self, rng: np.random.Generator, seeds: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Candidate and baseline, (seeds, queries, 2), and each query's product.

        The metrics are a hit or miss, and a smooth one between 0 and 1.
        """
        product = _queries(rng, self.products, self.sizes)
        difficulty = self.level + rng.normal(0, self.product, self.products)[product]
        difficulty += rng.normal(0, self.query, len(product))
        sides = []
        for number, shift in zip(seeds, (self.shift, 0.0), strict=True):
            method = difficulty + shift + rng.normal(0, self.method_product, self.products)[product]
            own = rng.normal(0, self.seed_product, (number, self.products))[:, product]
            noise = rng.normal(0, 0.5, (number, len(product)))
            latent = method + rng.normal(0, self.seed_effect, (number, 1)) + own + noise
            sides.append(np.stack([latent > 0, 1 / (1 + np.exp(-2 * latent))], axis=-1).astype(float))
        return sides[0], sides[1], product

    def true_values(self) -> np.ndarray:
        """Of candidate and baseline, (2, 2): a row a side, a column a metric; by 400,000 draws of one query each."""
        rng = np.random.default_rng(0)
        spread = self.product**2 + self.query**2 + 0.5**2
        spread += self.method_product**2 + self.seed_product**2 + self.seed_effect**2
        latent = self.level + rng.normal(0, spread**0.5, 400_000)
        sides = (latent + self.shift, latent)
        return np.array([[(side > 0).mean(), (1 / (1 + np.exp(-2 * side))).mean()] for side in sides])

    def true_difference(self) -> np.ndarray:
        """Of both metrics."""
        values = self.true_values()
        return values[0] - values[1]


def coverage(population: Population, simulations: int, seed: int = 0) -> dict[str, float]:
    """Shares of 95 % intervals that hold the true rate: ours, and three that we do not use.

    `student` has the variance at the estimate and Kish's degrees of freedom, `percentiles` are those of a bootstrap of
    products, `queries` takes each query for a product.
    """
    rng = np.random.default_rng(seed)
    held = dict.fromkeys(("ours", "student", "percentiles", "queries"), 0)
    for _ in range(simulations):
        values, product = population.draw(rng)
        sums, counts = product_totals(values, product)
        ends = {
            "ours": _ends(cluster_intervals(values, product)[0]),
            "student": _student(sums[:, 0], counts[:, 0]),
            "percentiles": _percentiles(sums, counts, rng),
            "queries": _ends(cluster_intervals(values, np.arange(len(product)))[0]),
        }
        for name, (low, high) in ends.items():
            held[name] += low <= population.rate <= high
    return {name: count / simulations for name, count in held.items()}


def equals(world: World, simulations: int, seed: int = 0) -> dict[str, float]:
    """What is said of two equal checkpoints, by metric.

    Returns:
        `value NAME` and `difference NAME`: shares of intervals that hold the true value of one run, and of the
        difference; `told NAME`: share of comparisons that say better or worse; `student NAME`: as `value`, of the
        interval that we do not use (`coverage`); `effective`: median of the effective number of products.
    """
    rng = np.random.default_rng(seed)
    truth = world.true_values()
    found: dict[str, list[float]] = {}
    for number in range(simulations):
        candidate, baseline, product = world.draw(rng, (1, 1))
        differences = compare_checkpoints(candidate[0], baseline[0], product, resamples=_RESAMPLES, seed=number)
        intervals = cluster_intervals(candidate[0], product)
        sums, counts = product_totals(candidate[0], product)
        found.setdefault("effective", []).append(float(effective_products(counts)[0]))
        for m, metric in enumerate(("hit", "smooth")):
            low, high = _ends(intervals[m])
            found.setdefault(f"value {metric}", []).append(low <= truth[0, m] <= high)
            low, high = _student(sums[:, m], counts[:, m])
            found.setdefault(f"student {metric}", []).append(low <= truth[0, m] <= high)
            low, high = _ends(differences[m])
            found.setdefault(f"difference {metric}", []).append(low <= truth[0, m] - truth[1, m] <= high)
            found.setdefault(f"told {metric}", []).append(_told(differences[m]))
    return {name: float(np.median(each) if name == "effective" else np.mean(each)) for name, each in found.items()}


def false_alarms(world: World, seeds: tuple[int, int], simulations: int, seed: int = 0) -> dict[str, float]:
    """Shares of comparisons that were told apart, and of intervals that held the true difference, by metric.

    `checkpoints` compares the first runs of both sides query by query. With several seeds a side, `methods` compares
    them as methods, and `drawn seeds` by the percentiles of a bootstrap that draws seeds and products.
    """
    rng = np.random.default_rng(seed)
    truth = world.true_difference() if world.shift else np.zeros(2)
    told: dict[str, list[float]] = {}
    for number in range(simulations):
        candidate, baseline, product = world.draw(rng, seeds)
        found = {
            "checkpoints": compare_checkpoints(candidate[0], baseline[0], product, resamples=_RESAMPLES, seed=number)
        }
        if min(seeds) > 1:
            found["methods"] = compare_methods(candidate, baseline, product)
            low, high = _drawn_seeds(candidate[:, :, 0], baseline[:, :, 0], product, rng)
            told.setdefault("drawn seeds", []).append(low > 0 or high < 0)
        for name, differences in found.items():
            for metric, difference in zip(("hit", "smooth"), differences, strict=True):
                told.setdefault(f"{name} {metric}", []).append(_told(difference))
        best = found.get("methods", found["checkpoints"])
        for metric, difference, true in zip(("hit", "smooth"), best, truth, strict=True):
            held = difference.low is None or difference.high is None or difference.low <= true <= difference.high
            told.setdefault(f"held {metric}", []).append(held)
    return {name: float(np.mean(values)) for name, values in told.items()}


def power(
    world: World, seeds: tuple[int, int], simulations: int, seed: int = 0, wanted: float | None = None
) -> dict[str, float]:
    """Plant a difference, and count how often it is found.

    Args:
        world: what is simulated.
        seeds: runs of candidate and baseline.
        simulations: how many.
        seed: of the draws.
        wanted: the planted difference of the hit-or-miss metric; None plants what comparisons call detectable.

    Returns:
        `planted` (the true difference of the hit-or-miss metric), `found` (the share that says `better`), and `held`
        (the share of intervals that hold the difference).
    """
    rng = np.random.default_rng(seed)
    if wanted is None:
        named = []
        for number in range(max(40, simulations // 5)):
            difference = _compare(*world.draw(rng, seeds), number)
            if difference.detectable is not None:
                named.append(difference.detectable)
        wanted = float(np.median(named))
    low, high = 0.0, 6.0
    for _ in range(30):
        middle = (low + high) / 2
        reached = replace(world, shift=middle).true_difference()[0] >= wanted
        low, high = (low, middle) if reached else (middle, high)
    world = replace(world, shift=high)
    planted = float(world.true_difference()[0])
    found = held = 0
    for number in range(simulations):
        difference = _compare(*world.draw(rng, seeds), number)
        found += verdict_of(difference, difference.p_value, 0.95) == "better"
        low, high = _ends(difference)
        held += low <= planted <= high
    return {"planted": planted, "found": found / simulations, "held": held / simulations}


def _compare(candidate: np.ndarray, baseline: np.ndarray, product: np.ndarray, number: int) -> Difference:
    if min(len(candidate), len(baseline)) > 1:
        return compare_methods(candidate, baseline, product)[0]
    return compare_checkpoints(candidate[0], baseline[0], product, resamples=_RESAMPLES, seed=number)[0]


def _told(difference: Difference) -> bool:
    return verdict_of(difference, difference.p_value, 0.95) != "can't tell"


def _queries(rng: np.random.Generator, products: int, sizes: str) -> np.ndarray:
    """Each query's product.

    `one` query a product, `five`, `few` (1 to 5), `many` (1 to 19), `heavy` (Zipf, at most 50), `pareto A` (shape A, at
    least 1, at most 20,000), `half` (five each, and one product with as many as all others).
    """
    name, _, shape = sizes.partition(" ")
    draws: dict[str, Callable[[], np.ndarray]] = {
        "one": lambda: np.ones(products, int),
        "five": lambda: np.full(products, 5),
        "few": lambda: rng.integers(1, 6, products),
        "many": lambda: rng.integers(1, 20, products),
        "heavy": lambda: np.minimum(rng.zipf(1.8, products), 50),
        "pareto": lambda: np.minimum((rng.pareto(float(shape), products) + 1).astype(int), 20_000),
        "half": lambda: np.r_[5 * (products - 1), np.full(products - 1, 5)],
    }
    return np.repeat(np.arange(products), draws[name]())


def _ends(found: Interval | Difference) -> tuple[float, float]:
    """Of an interval; what has none states nothing."""
    return (-np.inf, np.inf) if found.low is None or found.high is None else (found.low, found.high)


def _student(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The interval that we do not use: Student's on the logit scale, with the variance at the estimate."""
    queries, effective = counts.sum(), float(effective_products(counts[:, None])[0])
    value = sums.sum() / queries
    if not 1e-12 < value < 1 - 1e-12:
        bound = 0.025 ** (1 / effective)
        return (0.0, 1 - bound) if value < 0.5 else (bound, 1.0)
    squares = (((sums - counts * value) / queries) ** 2).sum() * len(sums) / (len(sums) - 1)
    half = special.stdtrit(max(effective - 1, 1.0), 0.975) * squares**0.5 / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-half, half]))
    return float(low), float(high)


def _percentiles(sums: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The interval that we do not use: percentiles of a bootstrap of products."""
    drawn = _drawn_totals(np.column_stack([sums, counts]), rng)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def _drawn_totals(totals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Column totals over products that are drawn with replacement, (draws, columns)."""
    weights = rng.multinomial(len(totals), np.full(len(totals), 1 / len(totals)), _RESAMPLES)
    return weights.astype(np.float64) @ totals


def _drawn_seeds(
    candidate: np.ndarray, baseline: np.ndarray, product: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """The interval that we do not use: 95 % percentiles, products drawn and seeds drawn in each method."""
    runs = np.concatenate([candidate, baseline])
    sums, counts = product_totals(runs.T, product)
    drawn = _drawn_totals(np.column_stack([sums, counts[:, :1]]), rng)
    values = drawn[:, :-1] / drawn[:, -1:]
    means = []
    for part in (values[:, : len(candidate)], values[:, len(candidate) :]):
        seeds = rng.integers(0, part.shape[1], part.shape)
        means.append(np.take_along_axis(part, seeds, axis=1).mean(axis=1))
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Print six Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="of each row (default 1000)")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    tables = {
        "coverage": _coverage_table,
        "unequal": _unequal_table,
        "checkpoints": _checkpoint_table,
        "methods": _method_table,
        "power": _power_table,
        "tenth": _tenth_table,
    }
    parser.add_argument("--table", choices=tables, help="print this one alone")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for table in tables.values() if arguments.table is None else [tables[arguments.table]]:
            print("\n".join(table(pool, arguments.simulations)), end="\n\n", flush=True)


def _coverage_table(pool: ProcessPoolExecutor, simulations: int) -> Iterator[str]:
    yield "| 95 % intervals that hold the truth | queries | products | ours | Student's | bootstrap | queries | +- |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    rows = [
        Population(products, sizes, rate)
        for rate in (0.5, 0.95)
        for sizes in ("one", "few", "heavy")
        for products in (15, 30, 80, 300)
    ]
    for row, held in zip(rows, pool.map(coverage, rows, [simulations] * len(rows)), strict=True):
        shares = " | ".join(f"{held[name]:.3f}" for name in ("ours", "student", "percentiles", "queries"))
        yield f"| true value {row.rate} | {row.sizes} | {row.products} | {shares} | {_error(simulations)} |"


def _unequal_table(pool: ProcessPoolExecutor, simulations: int) -> Iterator[str]:
    yield (
        "| equal checkpoints, sizes | products (effective) | correlation | right | value held, hit | smooth "
        '| Student\'s, hit | smooth | difference held, hit | smooth | "better" or "worse", hit | smooth | +- |'
    )
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    spreads = {"low": {"product": 0.4, "query": 1.3, "method_product": 0.1, "seed_product": 0.0}}
    spreads["high"] = {"product": 1.2, "query": 0.7, "method_product": 0.8, "seed_product": 0.0}
    rows = [
        (World(products, sizes, level=level, **spread), correlation)
        for sizes in ("pareto 1.1", "pareto 1.5", "pareto 2", "half", "five", "many")
        for products in (12, 30, 60, 200, 1000)
        for correlation, spread in spreads.items()
        for level in (0.0, 2.8)
    ]
    worlds = [world for world, _ in rows]
    for (world, correlation), found in zip(rows, pool.map(equals, worlds, [simulations] * len(rows)), strict=True):
        names = [
            f"{what} {metric}" for what in ("value", "student", "difference", "told") for metric in ("hit", "smooth")
        ]
        cells = " | ".join(f"{found[name]:.3f}" for name in names)
        right = "50 %" if world.level < 2 else "95 %"
        size = f"{world.products} ({found['effective']:.0f})"
        yield f"| {world.sizes} | {size} | {correlation} | {right} | {cells} | {_error(simulations)} |"


def _checkpoint_table(pool: ProcessPoolExecutor, simulations: int) -> Iterator[str]:
    yield '| checkpoints of equal quality | products | "can\'t tell", hit | smooth | truth in interval | +- |'
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    rows = [
        World(products, sizes, level=level)
        for level in (1.0, 2.8)
        for sizes in ("one", "few", "heavy")
        for products in (30, 150)
    ]
    seeds = [(1, 1)] * len(rows)
    for row, told in zip(rows, pool.map(false_alarms, rows, seeds, [simulations] * len(rows)), strict=True):
        shares = f"{1 - told['checkpoints hit']:.3f} | {1 - told['checkpoints smooth']:.3f} | {told['held smooth']:.3f}"
        name = f"{row.sizes} queries a product, {'75' if row.level < 2 else '95'} % right"
        yield f"| {name} | {row.products} | {shares} | {_error(simulations)} |"


def _method_table(pool: ProcessPoolExecutor, simulations: int) -> Iterator[str]:
    yield (
        '| methods that differ by seed only | seeds | products | "can\'t tell", hit | smooth '
        "| seeds drawn instead | one seed each, as checkpoints | +- |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    rows = [
        (World(products, seed_effect=effect), seeds)
        for effect in (0.0, 0.1, 0.4)
        for seeds in ((2, 2), (3, 3), (5, 5), (3, 10))
        for products in (40, 200)
    ]
    told = pool.map(false_alarms, *zip(*rows, strict=True), [simulations] * len(rows))
    for (row, seeds), shares in zip(rows, told, strict=True):
        names = ("methods hit", "methods smooth", "drawn seeds", "checkpoints hit")
        cells = " | ".join(f"{1 - shares[name]:.3f}" for name in names)
        kind = f"spread of seeds {row.seed_effect}"
        yield f"| {kind} | {seeds[0]} and {seeds[1]} | {row.products} | {cells} | {_error(simulations)} |"


def _power_table(pool: ProcessPoolExecutor, simulations: int) -> Iterator[str]:
    yield "| planted: what is called detectable | seeds | products | true difference | found (stated: 0.8) | +- |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    rows = [
        (World(products, seed_effect=effect), seeds)
        for products, seeds, effect in (
            (40, (1, 1), 0.0), (200, (1, 1), 0.0), (1000, (1, 1), 0.0),
            (200, (3, 3), 0.1), (200, (5, 5), 0.1), (200, (5, 5), 0.4), (40, (5, 5), 0.1),
        )
    ]  # fmt: skip
    found = pool.map(power, *zip(*rows, strict=True), [simulations] * len(rows))
    for (row, seeds), result in zip(rows, found, strict=True):
        kind = "checkpoints" if seeds == (1, 1) else f"methods, spread of seeds {row.seed_effect}"
        cells = f"{result['planted']:.3f} | {result['found']:.3f} | {_error(simulations, 0.8)}"
        yield f"| {kind} | {seeds[0]} and {seeds[1]} | {row.products} | {cells} |"


def _tenth_table(pool: ProcessPoolExecutor, simulations: int) -> Iterator[str]:
    yield "| checkpoints, planted: +0.10 | products | true difference | found | interval holds it | +- |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    rows = [
        World(products, sizes)
        for products, sizes in ((12, "many"), (60, "many"), (60, "five"), (60, "pareto 1.5"), (200, "pareto 1.5"))
    ]
    count = len(rows)
    found = pool.map(power, rows, [(1, 1)] * count, [simulations] * count, [0] * count, [0.1] * count)
    for row, result in zip(rows, found, strict=True):
        cells = f"{result['planted']:.3f} | {result['found']:.3f} | {result['held']:.3f}"
        yield f"| {row.sizes} queries a product | {row.products} | {cells} | {_error(simulations, 0.7)} |"


def _error(simulations: int, share: float = 0.95) -> str:
    return f"{stats.binom.std(simulations, share) / simulations:.3f}"


if __name__ == "__main__":
    main()
