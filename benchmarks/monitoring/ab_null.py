"""How often A/B analyses see an effect that is not there, or that is: python -m benchmarks.monitoring.ab_null.

Users come back over 28 days; the analysis is read at the end of each day. Shares have 95 % binomial intervals (Wilson).
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
from scipy import stats

from benchmarks.monitoring.simulated_users import DAYS, Behaviour, draw_arm
from src.monitoring.experiments.confidence_sequence import best_mixture, boundary
from src.monitoring.experiments.looks import Arm, covariance_at_looks, difference_at_looks
from src.monitoring.experiments.sample_ratio import sample_ratio_p_values

ALPHA = 0.05
BEHAVIOURS = {
    "new users only": Behaviour(visits=0.0, icc=0.01),
    "users who return": Behaviour(),
    "who return often": Behaviour(visits=1.0),
    "few return very often": Behaviour(visits=0.5, shape=0.3, icc=0.2),
    "rare purchases": Behaviour(results=1, rate=0.03, icc=0.05),
    "purchases, 90 % returned": Behaviour(results=1, rate=0.5, icc=0.01, returned=0.9, visits=0.02),
}
METHODS = (
    "naive z, read once",
    "naive z",
    "delta, read once",
    "delta",
    "delta, sequence over variance",
    "ours, open-ended",
    "ours, 28 days planned",
    "the same, CUPED",
)
LIFTS = (0.0, 0.05, 0.1, 0.15, 0.2)
_SRM_ALPHA = 0.01
_PATHS = 20_000


def one_experiment(seed: Sequence[int], how: Behaviour, lift: float) -> np.ndarray:
    """The first look, from 1, at which each of `METHODS` is significant; 0 where none is. int of shape (methods,)."""
    rng = np.random.default_rng(seed)
    arms = [draw_arm(rng, how, lift=each, before=True) for each in (0.0, lift)]
    plain = [Arm(arm.y, arm.n) for arm in arms]
    values, covariance, _, _ = covariance_at_looks(*plain)
    variance = np.diag(covariance)
    ours = difference_at_looks(*plain, alpha=ALPHA)
    planned = [difference_at_looks(*each, alpha=ALPHA, planned=DAYS, paths=_PATHS) for each in (plain, arms)]
    with np.errstate(invalid="ignore", divide="ignore"):
        delta = np.nan_to_num(np.abs(values[1] - values[0]) / np.sqrt(variance))
        naive = np.nan_to_num(_naive(plain))
        time = variance[ours.first or 0] / variance
    z = stats.norm.ppf(1 - ALPHA / 2)
    last = np.arange(DAYS) == DAYS - 1
    from_first = np.arange(DAYS) >= (DAYS if ours.first is None else ours.first)
    reach = boundary(np.where(from_first, time, 1.0), best_mixture(DAYS / ((ours.first or 0) + 1), ALPHA), ALPHA)
    crossed = (
        *((naive > z) & last, naive > z, (delta > z) & last, delta > z, (delta > reach) & from_first),
        *((each.low > 0) | (each.high < 0) for each in (ours, *planned)),
    )
    return np.array([np.argmax(each) + 1 if each.any() else 0 for each in crossed])


def sample_ratio(runs: int, share: float, *, seed: int, users: int = 20_000) -> tuple[float, float]:
    """Shares of runs in which chi-square, read daily, and the sequential check see another ratio than 1:1."""
    rng = np.random.default_rng(seed)
    found = np.zeros(2)
    for _ in range(runs):
        treated = rng.binomial(users // DAYS, share, DAYS).cumsum()
        counts = np.stack([np.arange(1, DAYS + 1) * (users // DAYS) - treated, treated], axis=1)
        chi = stats.chi2.sf((counts[:, 1] - counts[:, 0]) ** 2 / counts.sum(axis=1), 1)
        found += (chi < _SRM_ALPHA).any(), sample_ratio_p_values(counts, np.array([0.5, 0.5]))[-1] < _SRM_ALPHA
    return float(found[0] / runs), float(found[1] / runs)


def _naive(arms: Sequence[Arm]) -> np.ndarray:
    """A z-test of two proportions that takes each impression for independent, at each look."""
    y, n = (np.stack([getattr(arm, name).sum(axis=0) for arm in arms]) for name in ("y", "n"))
    pooled = np.clip(y.sum(axis=0) / n.sum(axis=0), 0, 1)
    return np.abs(np.diff(y / n, axis=0)[0]) / np.sqrt(pooled * (1 - pooled) * (1 / n).sum(axis=0))


def _percent(share: float, runs: int) -> str:
    low, high = stats.binomtest(round(share * runs), runs).proportion_ci(method="wilson")
    return f"{share:.1%} ({low:.1%} to {high:.1%})"


def main() -> None:
    """Print three Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated experiments of each row (default 1000)")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:

        def first_looks(number: int, how: Behaviour, lift: float) -> np.ndarray:
            work: Callable[[Sequence[int]], np.ndarray] = partial(one_experiment, how=how, lift=lift)
            seeds = [(number, run) for run in range(options.runs)]
            return np.stack(list(pool.map(work, seeds, chunksize=10)))

        print("A/A: share of experiments that see an effect\n\n| users | " + " | ".join(METHODS) + " |")
        print("| --- |" + " ---: |" * len(METHODS))
        for number, (name, how) in enumerate(BEHAVIOURS.items()):
            found = (first_looks(number, how, 0.0) > 0).mean(axis=0)
            print(f"| {name} | " + " | ".join(_percent(share, options.runs) for share in found) + " |", flush=True)
        print("\nA/B, users who return: share that sees the effect, and median day on which it does\n")
        shown = [METHODS.index(name) for name in ("delta, read once", *METHODS[-3:])]
        print(
            "| lift | "
            + " | ".join(f"{METHODS[k]} | day" for k in shown)
            + " |\n| ---: |"
            + " ---: | ---: |" * len(shown)
        )
        for number, lift in enumerate(LIFTS):
            found = first_looks(100 + number, BEHAVIOURS["users who return"], lift)[:, shown]
            cells = []
            for column in found.T:
                day = f"{np.median(column[column > 0]):.0f}" if column.any() else ""
                cells.append(f"{_percent(float((column > 0).mean()), options.runs)} | {day}")
            print(f"| {lift:.0%} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nSample ratio, 20,000 users in 28 daily looks, at {_SRM_ALPHA:.0%}: share that raises an alarm\n")
    print("| share of the treated | chi-square, read daily | sequential |\n| ---: | ---: | ---: |")
    for number, share in enumerate((0.5, 0.51, 0.52, 0.53)):
        found = sample_ratio(options.runs, share, seed=number)
        print(f"| {share:.0%} | " + " | ".join(_percent(each, options.runs) for each in found) + " |", flush=True)


if __name__ == "__main__":
    main()
