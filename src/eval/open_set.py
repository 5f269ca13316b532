"""Whether a first score tells photos of products in the catalogue from photos of other products (open-set recognition).

Each query is asked twice: as it is, and with its own item left out of the gallery, which is the answer to a photo of an
unknown product. Figures as in the literature on unknown classes (Vaze et al., "Open-Set Recognition: A Good Closed-Set
Classifier Is All You Need", ICLR 2022).
"""

import numpy as np

from src.eval.first_results import FirstResults
from src.eval.intervals import product_totals, too_few_products

__all__ = ["auroc", "false_alarms", "least_score", "open_set_metrics"]

KEPT = 0.95
"""Share of photos of known products that are to be taken for known."""

_RESAMPLES = 500


def auroc(known: np.ndarray, unknown: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve: the probability that a known product's score is above an unknown one's, ties half.

    Args:
        known: scores of shape (queries,).
        unknown: scores of shape (queries,), of the same queries.
        weights: of the queries, of shape (samples, queries); None weighs all alike.

    Returns:
        float64 of shape (samples,).
    """
    weights = np.ones((1, len(known))) if weights is None else weights
    order = np.argsort(unknown, kind="stable")
    cumulated = np.pad(np.cumsum(weights[:, order], axis=1), ((0, 0), (1, 0)))
    below, up_to = (np.searchsorted(unknown[order], known, side=side) for side in ("left", "right"))
    wins = (cumulated[:, below] + cumulated[:, up_to]) / 2
    return np.asarray((weights * wins).sum(axis=1) / weights.sum(axis=1) ** 2)


def least_score(known: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The largest score that at least 95 % of photos of known products reach.

    Args:
        known: scores of shape (queries,).
        weights: as in `auroc`.

    Returns:
        float64 of shape (samples,).
    """
    weights = np.ones((1, len(known))) if weights is None else weights
    order = np.argsort(-known, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    place = (reached >= KEPT * reached[:, -1:] - 1e-9).argmax(axis=1)
    return np.asarray(known[order][place], dtype=np.float64)


def false_alarms(known: np.ndarray, unknown: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Share of photos of unknown products that reach `least_score` (the false positive rate at 95 %).

    Arguments and result as in `auroc`.
    """
    weights = np.ones((1, len(known))) if weights is None else weights
    taken = unknown >= least_score(known, weights)[:, None]
    return np.asarray((weights * taken).sum(axis=1) / weights.sum(axis=1))


def open_set_metrics(results: FirstResults, *, confidence: float = 0.95, seed: int = 0) -> dict[str, float]:
    """`open_set_auroc` and `open_set_fpr@95`, with the ends of their intervals (bootstrap of products).

    Args:
        results: of an evaluation.
        confidence: of the intervals.
        seed: of the resampling.

    Returns:
        Empty without queries; no ends where the products are too few (`too_few_products`).
    """
    if not len(results):
        return {}
    measures = {"open_set_auroc": auroc, "open_set_fpr@95": false_alarms}
    found = {name: float(measure(results.first, results.stranger)[0]) for name, measure in measures.items()}
    names, product = np.unique(results.products, return_inverse=True)
    _, counts = product_totals(results.first[:, None], results.products)
    if too_few_products(counts[:, 0]):
        return found
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_RESAMPLES)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    for name, measure in measures.items():
        # One resample after the other: together they would take resamples x queries numbers.
        values = [measure(results.first, results.stranger, times[None, product])[0] for times in drawn]
        low, high = np.quantile(values, tails)
        found |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return found
