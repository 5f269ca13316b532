"""Our retrieval metrics as classes of torchmetrics: the numbers of evaluate.py, in any training loop.

To the last digit: averages over images in the order of their ids, which are row numbers in our validation.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from src.contracts.errors import LookalikeError
from src.eval.metrics import summarise
from src.eval.relevance import NULL
from src.eval.retrieval_states import RetrievalStates

__all__ = ["MeanAveragePrecision", "NDCG", "RecallAtK", "RetrievalMetric", "RetrievalMetrics"]


class RetrievalMetrics(RetrievalStates):
    """Several metrics from one ranking, as a dictionary.

    Example:
        >>> import torch
        >>> metrics = RetrievalMetrics(["recall@1", "map@r", "queries"])
        >>> vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.3]])
        >>> metrics.update(vectors, item_ids=["cup", "cup", "hat", "hat"], image_ids=["a", "b", "c", "d"])
        >>> {name: round(float(value), 3) for name, value in metrics.compute().items()}
        {'recall@1': 0.75, 'map@r': 0.75, 'queries': 4.0}

    Attributes:
        names: the keys of the dictionary.
    """

    def __init__(
        self, names: Sequence[str] = ("recall@1", "recall@10", "map@r", "mrr"), *, prefix: str = "", **kwargs: Any
    ) -> None:
        """Set what is measured.

        Args:
            names: as in metrics.json; `graded_ndcg@K` needs columns, see `update`.
            prefix: of the dictionary's keys.
            kwargs: `level`, `aggregate`, `exclude`, `grades` and `gain` of `EvaluateSettings`; those of
                `torchmetrics.Metric`.
        """
        super().__init__(names, **kwargs)
        self.names = tuple(f"{prefix}{name}" for name in names)
        self._asked = tuple(names)

    def compute(self) -> dict[str, Tensor]:
        """Averages over the queries that have a positive: float64, and int64 for counts.

        Raises:
            LookalikeError: no images yet, no query with a positive, or embeddings without a cosine.
        """
        measured = self.measured()
        if measured is None:
            return {name: self.tensor(float("nan")) for name in self.names}
        values, _, positives = measured
        found = summarise(values, positives)
        return {name: self.tensor(found[asked]) for name, asked in zip(self.names, self._asked, strict=True)}


class RetrievalMetric(RetrievalStates):
    """One metric as a scalar, which a LightningModule logs by `self.log(NAME, metric)`.

    Example:
        >>> import torch
        >>> metric = RetrievalMetric("recall@1", level="image")
        >>> vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.3]])
        >>> ids = torch.tensor([0, 0, 1, 1]), torch.arange(4)
        >>> metric.update(vectors, *ids, is_query=ids[1] > 0)
        >>> metric.compute()
        tensor(0.6667, dtype=torch.float64)
    """

    def __init__(self, metric: str, *, worst_of: str | None = None, fewest_items: int = 5, **kwargs: Any) -> None:
        """Set what is measured.

        Args:
            metric: its name, as in metrics.json.
            worst_of: a column of slices; the lowest of the slices' averages is computed. It is lower than the worst
                slice's true value, since it is the smallest of several uncertain averages.
            fewest_items: slices whose queries with a positive are of fewer items are left out.
            kwargs: as of `RetrievalMetrics`.
        """
        super().__init__([metric], slices=(worst_of,) if worst_of else (), **kwargs)
        self._metric, self._worst_of, self._fewest = metric, worst_of, fewest_items

    def compute(self) -> Tensor:
        """The average over the queries that have a positive, or that of the worst slice: float64.

        Raises:
            LookalikeError: as of `RetrievalMetrics.compute`; or no slice has enough items.
        """
        measured = self.measured()
        if measured is None:
            return self.tensor(float("nan"))
        values, queries, positives = measured
        if self._worst_of is None:
            return self.tensor(summarise(values, positives)[self._metric])
        column = queries.attribute(f"slice_{self._worst_of}")
        known = np.flatnonzero(positives > 0)
        codes = np.full(len(known), NULL) if column is None else column.fill_null(NULL).to_numpy()[known]
        means = []
        for code in np.unique(codes[codes != NULL]):
            inside = known[codes == code]
            if len(np.unique(queries.item_ids[inside])) >= self._fewest:
                means.append(float(values[self._metric][inside].mean()))
        if not means and not self.of_batch:
            raise LookalikeError(
                f"`worst_of={self._worst_of}`: none of {len(np.unique(codes[codes != NULL]))} slices has queries of "
                f"`fewest_items={self._fewest}` items; lower it, or name another column"
            )
        return self.tensor(min(means, default=float("nan")))


class RecallAtK(RetrievalMetric):
    """Recall@K: the share of queries with a positive among the first K."""

    def __init__(self, k: int = 1, **kwargs: Any) -> None:
        """Set K; further arguments as of `RetrievalMetric`."""
        super().__init__(f"recall@{k}", **kwargs)


class MeanAveragePrecision(RetrievalMetric):
    """mAP@K, which divides by min(R, K); mAP@R without a K."""

    def __init__(self, k: int | None = None, **kwargs: Any) -> None:
        """Set K; further arguments as of `RetrievalMetric`."""
        super().__init__(f"map@{k or 'r'}", **kwargs)


class NDCG(RetrievalMetric):
    """NDCG@K: binary, or graded by the columns that results share with the query."""

    def __init__(self, k: int = 10, *, graded: bool = False, **kwargs: Any) -> None:
        """Set K; further arguments as of `RetrievalMetric`."""
        super().__init__(f"{'graded_' if graded else ''}ndcg@{k}", **kwargs)
