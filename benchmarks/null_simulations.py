"""How often intervals hold the truth and verdicts are right, in simulation: python -m benchmarks.null_simulations.

Each table's last column is the Monte Carlo standard error of its shares, at most.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from scipy import stats

from src.eval.bootstrap import cluster_intervals, product_totals, resampled_totals
from src.eval.checkpoint_comparison import Difference, compare_checkpoints
from src.eval.comparison import verdict_of
from src.eval.method_comparison import compare_methods

__all__ = ["Population", "World", "coverage", "false_alarms", "power"]

_RESAMPLES = 600
"""Fewer than in earnest: they move the ends by 3 % of the width, which averages out here."""


@dataclass(frozen=True)
class Population:
    """Products whose queries succeed with a rate of their own, Beta distributed.

    Attributes:
        products: drawn each time.
        sizes: `one` query a product, `few` (1 to 5), `heavy` (Zipf, at most 50).
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
        products: drawn each time, with `sizes` queries (see `Population`).
        sizes: of products.
        seed_effect: standard deviation of what a training's seed does to all queries.
        method_product: of what one method finds harder at a product than another does.
        seed_product: of what one seed finds harder at a product than another does.
        shift: what the candidate's method is better by.
        level: 1.0 answers about three queries in four, 2.8 about 95 of 100.
    """

    products: int = 80
    sizes: str = "few"
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
        difficulty = self.level + rng.normal(0, 1.2, self.products)[product] + rng.normal(0, 0.7, len(product))
        sides = []
        for number, shift in zip(seeds, (self.shift, 0.0), strict=True):
            method = difficulty + shift + rng.normal(0, self.method_product, self.products)[product]
            own = rng.normal(0, self.seed_product, (number, self.products))[:, product]
            noise = rng.normal(0, 0.5, (number, len(product)))
            latent = method + rng.normal(0, self.seed_effect, (number, 1)) + own + noise
            sides.append(np.stack([latent > 0, 1 / (1 + np.exp(-2 * latent))], axis=-1).astype(float))
        return sides[0], sides[1], product

    def true_difference(self) -> np.ndarray:
        """Of both metrics, by 400,000 draws of one query each."""
        rng = np.random.default_rng(0)
        spread = 1.2**2 + 0.7**2 + 0.5**2 + self.method_product**2 + self.seed_product**2 + self.seed_effect**2
        latent = self.level + rng.normal(0, spread**0.5, 400_000)
        better = latent + self.shift
        smooth = (1 / (1 + np.exp(-2 * values)) for values in (better, latent))
        return np.array([(better > 0).mean() - (latent > 0).mean(), np.subtract(*(v.mean() for v in smooth))])


def coverage(population: Population, simulations: int, seed: int = 0) -> dict[str, float]:
    """Shares of 95 % intervals that hold the true rate: ours, percentiles of the same draws, and queries resampled."""
    rng = np.random.default_rng(seed)
    held = dict.fromkeys(("ours", "percentiles", "queries"), 0)
    for number in range(simulations):
        values, product = population.draw(rng)
        ours = cluster_intervals(values, product, resamples=_RESAMPLES, seed=number)[0]
        queries = cluster_intervals(values, np.arange(len(product)), resamples=_RESAMPLES, seed=number)[0]
        sums, counts = product_totals(values, product)
        drawn = resampled_totals(np.column_stack([sums, counts]), resamples=_RESAMPLES, seed=number)
        percentiles = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
        ends = {
            "ours": (ours.low, ours.high),
            "percentiles": tuple(percentiles),
            "queries": (queries.low, queries.high),
        }
        for name, (low, high) in ends.items():
            held[name] += low is not None and high is not None and low <= population.rate <= high
    return {name: count / simulations for name, count in held.items()}


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


def power(world: World, seeds: tuple[int, int], simulations: int, seed: int = 0) -> dict[str, float]:
    """Plant the difference that comparisons call detectable, and count how often it is found.

    Returns:
        `planted` (the true difference of the hit-or-miss metric) and `found` (the share that says `better`).
    """
    rng = np.random.default_rng(seed)
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
    planted = replace(world, shift=high)
    found = 0
    for number in range(simulations):
        difference = _compare(*planted.draw(rng, seeds), number)
        found += verdict_of(difference, difference.p_value, 0.95) == "better"
    return {"planted": float(planted.true_difference()[0]), "found": found / simulations}


def _compare(candidate: np.ndarray, baseline: np.ndarray, product: np.ndarray, number: int) -> Difference:
    if min(len(candidate), len(baseline)) > 1:
        return compare_methods(candidate, baseline, product)[0]
    return compare_checkpoints(candidate[0], baseline[0], product, resamples=_RESAMPLES, seed=number)[0]


def _told(difference: Difference) -> bool:
    return verdict_of(difference, difference.p_value, 0.95) != "can't tell"


def _queries(rng: np.random.Generator, products: int, sizes: str) -> np.ndarray:
    draws: dict[str, Callable[[], np.ndarray]] = {
        "one": lambda: np.ones(products, int),
        "few": lambda: rng.integers(1, 6, products),
        "heavy": lambda: np.minimum(rng.zipf(1.8, products), 50),
    }
    return np.repeat(np.arange(products), draws[sizes]())


def _drawn_seeds(
    candidate: np.ndarray, baseline: np.ndarray, product: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """The interval that we do not use: 95 % percentiles, products drawn and seeds drawn in each method."""
    runs = np.concatenate([candidate, baseline])
    sums, counts = product_totals(runs.T, product)
    drawn = resampled_totals(
        np.column_stack([sums, counts[:, :1]]), resamples=_RESAMPLES, seed=int(rng.integers(1 << 30))
    )
    values = drawn[:, :-1] / drawn[:, -1:]
    means = []
    for part in (values[:, : len(candidate)], values[:, len(candidate) :]):
        seeds = rng.integers(0, part.shape[1], part.shape)
        means.append(np.take_along_axis(part, seeds, axis=1).mean(axis=1))
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Print four Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="of each row (default 1000)")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for table in (_coverage_table, _checkpoint_table, _method_table, _power_table):
            print("\n".join(table(pool, arguments.simulations)), end="\n\n", flush=True)


def _coverage_table(pool: ProcessPoolExecutor, simulations: int) -> Iterator[str]:
    yield "| 95 % intervals that hold the truth | queries | products | ours | percentiles | queries resampled | +- |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    rows = [
        Population(products, sizes, rate)
        for rate in (0.5, 0.95)
        for sizes in ("one", "few", "heavy")
        for products in (15, 30, 80, 300)
    ]
    for row, held in zip(rows, pool.map(coverage, rows, [simulations] * len(rows)), strict=True):
        shares = " | ".join(f"{held[name]:.3f}" for name in ("ours", "percentiles", "queries"))
        yield f"| true value {row.rate} | {row.sizes} | {row.products} | {shares} | {_error(simulations)} |"


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


def _error(simulations: int, share: float = 0.95) -> str:
    return f"{stats.binom.std(simulations, share) / simulations:.3f}"


if __name__ == "__main__":
    main()
