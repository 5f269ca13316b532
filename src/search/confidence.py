"""How far an answer can be trusted: the probability that its first result is the photo's product.

The scores of a search are no probabilities: a cosine of .8 is a safe hit for one encoder and chance for another. The
export fits the translation on photos of the validation split (`src.eval.calibration`) and writes `confidence.json`.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from src.contracts.bundle import CONFIDENCE, Bundle
from src.contracts.errors import BundleError

__all__ = ["Confidence", "Estimate"]


@dataclass(frozen=True)
class Estimate:
    """What the scores of the first two results say.

    Attributes:
        right: the probability that the first result is the photo's product, where the catalogue has the product.
        low: lower end of its 95 % interval.
        high: upper end.
        in_catalogue: whether the first score is as high as that of 95 % of photos whose product is in the catalogue.
    """

    right: float
    low: float
    high: float
    in_catalogue: bool


@dataclass(frozen=True)
class Confidence:
    """A translation of scores into probabilities.

    Attributes:
        margin_weight: the evidence of an answer is its first score + margin_weight * (first - second score).
        starts: the least evidence of each step, ascending; the first is the least that was seen.
        right: probability of each step, ascending.
        low: lower ends of their 95 % intervals.
        high: upper ends.
        least_score: the first score that 95 % of photos reach whose product is in the catalogue.
        false_alarms: share of photos of other products that reach it as well.
        queries: photos that it was fitted on.
        products: their products.
    """

    margin_weight: float
    starts: list[float]
    right: list[float]
    low: list[float]
    high: list[float]
    least_score: float
    false_alarms: float
    queries: int
    products: int

    def evidence(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """What probabilities are read from: float64 of the scores' shape."""
        return np.asarray(first, np.float64) + self.margin_weight * (np.asarray(first, np.float64) - second)

    def probabilities(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The probability that each first result is right.

        Args:
            first: scores of the first results, of shape (answers,).
            second: scores of the second ones.

        Returns:
            float64 of shape (answers,).
        """
        return np.asarray(self.right)[self._step(first, second)]

    def of(self, first: float, second: float) -> Estimate:
        """The estimate of one answer, from the scores of its first two items."""
        step = int(self._step(np.array([first]), np.array([second]))[0])
        return Estimate(self.right[step], self.low[step], self.high[step], first >= self.least_score)

    def _step(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        found = np.searchsorted(self.starts, self.evidence(first, second), side="right") - 1
        return np.clip(found, 0, len(self.starts) - 1)

    def to_json(self) -> str:
        """The content of `confidence.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Confidence":
        """Read what `to_json` wrote; raises `TypeError` for other fields."""
        return cls(**values)

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "Confidence | None":
        """A bundle's; None where the export had too few photos of a validation split.

        Raises:
            BundleError: the file is not one.
        """
        if CONFIDENCE not in bundle.content["files"]:
            return None
        try:
            return cls.from_dict(json.loads(bundle.path(CONFIDENCE).read_text()))
        except (ValueError, TypeError) as error:
            raise BundleError(
                f"bundle {bundle.root}: {CONFIDENCE} cannot be read ({error}); export it again"
            ) from error
