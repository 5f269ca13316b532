"""Exact search by brute force on one device: nothing to build, to tune or to refresh.

The k best vectors lie in the k blocks with the largest maxima, ties apart. So a first pass needs one number for each
block and query, and only a few blocks are looked at again. The first pass may be rough (float16, int8) as long as its
error is bounded: with every score within e of the truth and T the k-th largest maximum found, k vectors reach T - e in
truth, so none of the best is rated below T - 2e; all blocks that reach T - 2e are scored again, in float64. The
result is that of exact arithmetic over the float16 vectors, up to the order of equal scores.

Torch, on CUDA or the CPU; the service does not import it.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.rough_scores import HalfScores, Int8Scores, RoughScores
from src.contracts.errors import LookalikeError

__all__ = ["ExactSearch"]

_SCORES_AT_ONCE = 2**24
_RESCORED_AT_ONCE = 2**26


class ExactSearch:
    """Cosine search over L2-normalised vectors; a vector's name is its row.

    Memory on the device: the vectors, 2 bytes a number (float16) or 1 (int8; the float16 vectors then stay where they
    were given, on the host or the device, and a few blocks of them are fetched for each query); 8 bytes for each query
    of a batch and each block; and up to 2 GiB while searching.

    Attributes:
        rescored: share of the blocks that the last search scored again, by query on average.
    """

    def __init__(
        self,
        vectors: np.ndarray | Tensor,
        *,
        device: str = "cuda",
        precision: Literal["float16", "int8"] = "float16",
        block: int = 128,
        batch: int = 128,
    ) -> None:
        """Hold the vectors; float16 ones that are on the device already are not copied.

        Args:
            vectors: float16 or float32 of shape (rows, dim), L2-normalised, finite; rounded to float16.
            device: where torch computes.
            precision: what the rough scores are computed in.
            block: rows of a block, a multiple of 8.
            batch: queries that one pass over the vectors answers; a GPU reads no slower for a hundred than for one.
        """
        if precision not in ("float16", "int8"):
            raise LookalikeError(f"`precision={precision}`: must be float16 or int8")
        if block < 8 or block % 8 or batch < 1:
            raise LookalikeError(f"`block={block}`, `batch={batch}`: a multiple of 8, and at least 1")
        given = torch.from_numpy(vectors) if isinstance(vectors, np.ndarray) else vectors
        self._exact = given.to(device=given.device if precision == "int8" else device, dtype=torch.float16)
        rough = Int8Scores if precision == "int8" else HalfScores
        self._rough: RoughScores = rough(self._exact, device=torch.device(device))
        self._device, self._block, self._batch = torch.device(device), block, batch
        self.rescored = 0.0

    def __len__(self) -> int:
        return len(self._exact)

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows of each query; see `VectorIndex.search`.

        Args:
            vectors: float32 array of shape (queries, dim), L2-normalised.
            k: rows wanted.

        Returns:
            Scores, float32 of shape (queries, k), descending, and rows, int64; where there are fewer than k, -inf
            and -1.
        """
        dim = self._exact.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != dim or not np.isfinite(vectors).all():
            raise LookalikeError(f"queries have shape {vectors.shape}; finite ones of (queries, {dim}) are taken")
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        rows = np.full((len(vectors), k), -1, np.int64)
        found = min(k, len(self))
        blocks = 0
        for first in range(0, len(vectors) if found else 0, self._batch):
            queries = torch.from_numpy(vectors[first : first + self._batch]).to(self._device, torch.float32)
            candidates = self._candidates(queries, found)
            best, places = self._rescore(queries, candidates, found)
            scores[first : first + len(queries), :found] = best.float().cpu().numpy()
            rows[first : first + len(queries), :found] = places.cpu().numpy()
            blocks += int((candidates >= 0).sum())
        self.rescored = blocks / max(1, len(vectors)) / max(1, -(-len(self) // self._block))
        return scores, rows

    def _candidates(self, queries: Tensor, k: int) -> Tensor:
        """Numbers of the blocks that may hold a result, int64 of shape (queries, most of any), -1 for none."""
        maxima = torch.cat(list(self._maxima(queries)), dim=1)
        kth = maxima.topk(min(k, maxima.shape[1]), dim=1).values[:, -1]
        # Fewer blocks than results: some blocks hold several, so all of them are candidates.
        lowest = kth - 2 * self._rough.error(queries) if maxima.shape[1] >= k else kth - torch.inf
        most = int((maxima >= lowest[:, None]).sum(dim=1).max())
        reached, blocks = maxima.topk(most, dim=1)
        return blocks.masked_fill_(reached < lowest[:, None], -1)

    def _maxima(self, queries: Tensor) -> Iterator[Tensor]:
        """The blocks' largest rough scores, chunk by chunk, float32 of shape (queries, blocks of the chunk)."""
        step = max(1, _SCORES_AT_ONCE // (len(queries) * self._block)) * self._block
        prepared = self._rough.prepare(queries)
        for first in range(0, len(self), step):
            scores = self._rough.scores(prepared, first, min(first + step, len(self)))
            short = -scores.shape[1] % self._block
            if short:
                scores = torch.nn.functional.pad(scores, (0, short), value=-torch.inf)
            yield scores.view(len(queries), -1, self._block).amax(dim=2).float()

    def _rescore(self, queries: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Float64 scores and rows of the k best among the candidates' rows, both of shape (queries, k)."""
        best = torch.full((len(queries), k), -torch.inf, dtype=torch.float64, device=self._device)
        rows = torch.full((len(queries), k), -1, device=self._device)
        within = torch.arange(self._block, device=self._device)
        step = max(1, _RESCORED_AT_ONCE // (8 * len(queries) * self._block * self._exact.shape[1]))
        for first in range(0, candidates.shape[1], step):
            blocks = candidates[:, first : first + step, None]
            here = (blocks * self._block + within).flatten(1)
            there = ((blocks >= 0) & (blocks * self._block + within < len(self))).flatten(1)
            fetched = self._exact[here.clamp(0, len(self) - 1).to(self._exact.device)].to(self._device)
            scores = torch.einsum("qrd,qd->qr", fetched.double(), queries.double()).masked_fill_(~there, -torch.inf)
            best, order = torch.cat([best, scores], dim=1).topk(k, dim=1)
            rows = torch.cat([rows, here], dim=1).gather(1, order)
        return best, rows
