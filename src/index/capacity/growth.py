"""How a figure grows with the number of vectors, fitted to few sizes and checked on the largest."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Growth", "fit_growth", "fit_law"]

Law = Literal["linear", "logarithm", "power"]


@dataclass(frozen=True)
class Growth:
    """A law and its two constants.

    Attributes:
        law: `linear`: a + b n; `logarithm`: a + b ln n; `power`: a n^b.
        a: see `law`.
        b: see `law`; never negative, since nothing gets cheaper by more vectors.
        error: relative error of predicting the largest size from the others, under this law; None with fewer than
            three sizes.
    """

    law: Law
    a: float
    b: float
    error: float | None = None

    def at(self, rows: float) -> float:
        """The figure at a number of vectors."""
        if self.law == "power":
            return self.a * rows**self.b
        return self.a + self.b * (rows if self.law == "linear" else float(np.log(rows)))


def fit_law(rows: np.ndarray, values: np.ndarray, law: Law) -> Growth:
    """Least squares of relative errors, so that small sizes count as much as large ones.

    Args:
        rows: numbers of vectors, float64 of shape (n,), n >= 1.
        values: the figure at each, positive.
        law: see `Growth`.
    """
    rows, values = np.asarray(rows, np.float64), np.asarray(values, np.float64)
    if law == "power":
        x, y, weight = np.log(rows), np.log(values), np.ones(len(rows))
    else:
        x, y, weight = (rows if law == "linear" else np.log(rows)), values, 1 / values
    design = np.stack([np.ones(len(rows)), x], axis=1)
    a, b = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)[0]
    if len(rows) == 1 or b < 0:
        a, b = np.average(y, weights=weight**2), 0.0
    elif law == "linear" and a < 0:
        a, b = 0.0, np.sum(weight**2 * x * y) / np.sum(weight**2 * x * x)
    return Growth(law, float(np.exp(a) if law == "power" else a), float(b))


def fit_growth(rows: np.ndarray, values: np.ndarray, laws: tuple[Law, ...]) -> Growth:
    """The law that predicts the largest size best from the others, fitted to all sizes.

    Args:
        rows: numbers of vectors.
        values: the figure at each, positive.
        laws: those to choose from; the first where there are fewer than three sizes.
    """
    order = np.argsort(rows)
    rows, values = np.asarray(rows, np.float64)[order], np.asarray(values, np.float64)[order]
    if len(rows) < 3:
        return fit_law(rows, values, laws[0])
    errors = {law: abs(fit_law(rows[:-1], values[:-1], law).at(rows[-1]) / values[-1] - 1) for law in laws}
    best = min(laws, key=lambda law: errors[law])
    fitted = fit_law(rows, values, best)
    return Growth(best, fitted.a, fitted.b, float(errors[best]))
