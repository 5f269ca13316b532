"""How many pages interleaving saves against an A/B test: python -m benchmarks.monitoring.interleaving.

Two engines of the built-in shop, one with smaller errors, and the shop's position-based clicks. Each user sees five
pages and clicks more or less than others. Pages needed to find the difference with power 80 % at alpha 5 %, one look
at the end, clustered by user. Intervals by bootstrap over users.
"""

import argparse

import numpy as np
from scipy import stats

from src.monitoring.experiments.interleaving import team_draft
from src.shop.clicks import ENGINE_NOISE, RESULTS, Market, act, grade, rank
from src.shop.listing import items_table
from src.shop.products import plan_products

_NEEDED = (stats.norm.isf(0.025) + stats.norm.ppf(0.8)) ** 2
_RESAMPLES = 400
_PAGES = 5
"""That each user sees."""
_FIGURES = ("A clicks", "B clicks", "A first", "B first", "credit", "plain credit")


def simulated(market: Market, noise: float, users: int, seed: int) -> dict[str, np.ndarray]:
    """Clicks of A/B pages and credits of interleaved ones, each user's mean: float64 of shape (users,)."""
    rng = np.random.default_rng(seed)
    listed = np.arange(len(market.ids))
    found = {name: np.zeros(users * _PAGES) for name in _FIGURES}
    # The users of A, of B and of interleaved pages are not the same.
    tastes = np.minimum(rng.gamma(4.0, 0.25, (3, users)), 1.1).repeat(_PAGES, axis=1)
    for page in range(users * _PAGES):
        query = int(rng.integers(len(listed)))
        rankings = [rank(rng, market, query, listed, noise=each) for each in (ENGINE_NOISE, noise)]
        for arm, (name, (_, grades)) in enumerate(zip("AB", rankings, strict=True)):
            clicked = act(rng, grades, tastes[arm, page])[0]
            found[f"{name} clicks"][page], found[f"{name} first"][page] = clicked.sum(), clicked[0]
        a, b = ([str(item) for item in shown] for shown, _ in rankings)
        draft = team_draft(a, b, RESULTS, rng)
        grades = grade(market.parents, market.categories, query)[np.array(draft.items, dtype=int)]
        clicked = act(rng, grades, tastes[2, page])[0]
        found["credit"][page] = draft.credit[clicked].sum()
        found["plain credit"][page] = (2 * draft.teams[clicked] - 1).sum()
    return {name: values.reshape(users, _PAGES).mean(axis=1) for name, values in found.items()}


def needed(found: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, float]:
    """Pages that each method needs, estimated from some users."""
    result = {}
    for name in ("clicks", "first"):
        a, b = found[f"A {name}"][rows], found[f"B {name}"][rows]
        result[f"A/B, {name}"] = 2 * _PAGES * _NEEDED * (a.var() + b.var()) / (b.mean() - a.mean()) ** 2
    for name in ("plain credit", "credit"):
        result[name] = _PAGES * _NEEDED * found[name][rows].var() / found[name][rows].mean() ** 2
    return result


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--users", type=int, default=20_000, help="of each method, with five pages each (default 20000)"
    )
    parser.add_argument("--noises", type=float, nargs="+", default=[0.4, 0.5, 0.6], help="errors of engine B")
    parser.add_argument("--parents", type=int, default=60, help="products of the shop (default 60)")
    options = parser.parse_args()
    products = plan_products(options.parents, 0)
    market = Market(products, items_table(products, 0))
    rng = np.random.default_rng(0)
    print(
        "| error of B | clicks a page, A and B | A/B by clicks | A/B by CTR@1 | team draft | by probability | saving |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for number, noise in enumerate(options.noises):
        found = simulated(market, noise, options.users, number)
        best = needed(found, np.arange(options.users))
        draws = [needed(found, rng.integers(0, options.users, options.users)) for _ in range(_RESAMPLES)]
        savings = [min(each["A/B, clicks"], each["A/B, first"]) / each["credit"] for each in draws]
        low, high = np.quantile(savings, [0.025, 0.975])
        saving = min(best["A/B, clicks"], best["A/B, first"]) / best["credit"]
        shown = " | ".join(f"{best[name]:,.0f}" for name in ("A/B, clicks", "A/B, first", "plain credit", "credit"))
        rates = f"{found['A clicks'].mean():.3f}, {found['B clicks'].mean():.3f}"
        print(f"| {noise} | {rates} | {shown} | {saving:.1f} ({low:.1f} to {high:.1f}) |", flush=True)


if __name__ == "__main__":
    main()
