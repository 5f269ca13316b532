"""How often a race drops the trial that is best, in simulation: python -m benchmarks.racing_risk.

Trials differ by their true quality, and by what each finds hard of products and queries. Queries are hit or missed.
The quality of all rises from look to look by the same amount, and what a trial finds hard stays for the most part, so
that its looks are not independent. The stated risk is 5 %.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from scipy import stats

from src.sweeps.elimination import differences_to_best, is_worse, level_of_a_test

__all__ = ["Field", "raced"]

_RESAMPLES = 1_000
"""Fewer than in earnest: enough for tests at these levels."""


@dataclass(frozen=True)
class Field:
    """The trials of a race.

    Attributes:
        ahead: by how much the best trial's latent quality is above the others'; 0: all are equal.
        poor: by how much that of half of the others is below the rest's.
        trials: in the race.
        looks: at which trials are dropped.
        products: with one to five queries each.
        seeds: of each trial.
        seed_effect: standard deviation of what a training's seed does to all queries.
    """

    ahead: float = 0.0
    poor: float = 0.0
    trials: int = 8
    looks: int = 2
    products: int = 80
    seeds: int = 1
    seed_effect: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Hits of shape (looks, trials, seeds, queries), 0 or 1, of trial 0 as the best; and each query's product."""
        product = np.repeat(np.arange(self.products), rng.integers(1, 6, self.products))
        difficulty = rng.normal(0, 1.2, self.products)[product] + rng.normal(0, 0.7, len(product))
        quality = np.zeros(self.trials)
        quality[0] = self.ahead
        quality[1 + (self.trials - 1) // 2 :] -= self.poor
        shape = (self.trials, self.seeds)
        own = quality[:, None, None] + rng.normal(0, self.seed_effect, (*shape, 1))
        own = own + rng.normal(0, 0.3, (self.trials, 1, self.products))[..., product]
        own = own + rng.normal(0, 0.4, (*shape, self.products))[..., product]
        own = own + rng.normal(0, 0.35, (*shape, len(product)))
        passing = rng.normal(0, 0.35, (self.looks, *shape, len(product)))
        rising = np.linspace(0.0, 1.0, self.looks + 1)[1:, None, None, None]
        return (difficulty + own + passing + rising > 0).astype(float), product


def raced(field: Field, simulations: int, seed: int = 0, *, risk: float = 0.05) -> dict[str, float]:
    """Race drawn fields.

    Args:
        field: the trials.
        simulations: number of races.
        seed: of the draws.
        risk: of each race.

    Returns:
        `best`: share of races that dropped the best trial. `others`: mean share of the other trials that were dropped.
        `naive`: share that dropped the best where each test has the level `risk` (two-sided, uncorrected).
    """
    rng = np.random.default_rng(seed)
    level = level_of_a_test(risk, trials=field.trials, looks=field.looks)
    lost, naive, others = [], [], []
    for _ in range(simulations):
        hits, product = field.draw(rng)
        stay = _survivors(hits, product, level)
        lost.append(0 not in stay)
        others.append((field.trials - len({0, *stay})) / (field.trials - 1))
        naive.append(0 not in _survivors(hits, product, risk / 2))
    return {"best": float(np.mean(lost)), "others": float(np.mean(others)), "naive": float(np.mean(naive))}


def _survivors(hits: np.ndarray, product: np.ndarray, level: float) -> list[int]:
    stay = [*range(hits.shape[1])]
    for look in hits:
        _, differences = differences_to_best(
            [look[trial] for trial in stay], product, level=level, resamples=_RESAMPLES
        )
        stay = [
            trial
            for trial, found in zip(stay, differences, strict=True)
            if found is None or not is_worse(found, level=level)
        ]
    return stay


_FIELDS = {
    "all equal": Field(),
    "all equal, 30 products": Field(products=30),
    "all equal, 16 trials, 3 looks": Field(trials=16, looks=3),
    "best ahead by 0.1": Field(ahead=0.1),
    "best ahead by 0.3": Field(ahead=0.3),
    "best ahead by 0.1, half of the others behind by 1": Field(ahead=0.1, poor=1.0),
    "all equal, spread of seeds 0.2, one seed": Field(seed_effect=0.2),
    "all equal, spread of seeds 0.2, three seeds": Field(seed_effect=0.2, seeds=3),
}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200, help="of each row (default 200)")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    arguments = parser.parse_args()
    print("\n".join(_table(arguments.simulations, arguments.processes)))


def _table(simulations: int, processes: int) -> Iterator[str]:
    yield "| 8 trials, 2 looks, 80 products | the best dropped (stated: .05) | others | uncorrected tests | +- |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = pool.map(raced, _FIELDS.values(), [simulations] * len(_FIELDS))
        for name, shares in zip(_FIELDS, found, strict=True):
            error = stats.binom.std(simulations, 0.05) / simulations
            yield f"| {name} | {shares['best']:.3f} | {shares['others']:.2f} | {shares['naive']:.3f} | {error:.3f} |"


if __name__ == "__main__":
    main()
