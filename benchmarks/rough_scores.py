"""Scores that are cheap and of bounded error: the first pass of exact search."""

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from src.contracts.errors import LookalikeError

__all__ = ["HalfScores", "Int8Scores", "RoughScores"]

_CHUNK = 2**16


class RoughScores(Protocol):
    """Inner products of queries with rows, each within `error` of the truth."""

    def prepare(self, queries: Tensor) -> Any:
        """What `scores` takes in place of float32 queries of shape (queries, dim)."""
        ...

    def scores(self, prepared: Any, first: int, end: int) -> Tensor:
        """Rough scores of the rows from `first` to before `end`, of shape (queries, end - first)."""
        ...

    def error(self, queries: Tensor) -> Tensor:
        """How far at most any score of a query is from the truth, float32 of shape (queries,)."""
        ...


class HalfScores:
    """float16 products, summed in float32 and rounded to float16 on CUDA; float32 throughout on the CPU."""

    def __init__(self, vectors: Tensor, *, device: torch.device) -> None:
        """Measure the rows.

        Args:
            vectors: float16 of shape (rows, dim), on the device.
            device: where they are.
        """
        self._vectors = vectors
        self._type = torch.float16 if device.type == "cuda" else torch.float32
        self._longest = _longest(vectors)

    def prepare(self, queries: Tensor) -> Tensor:
        """See `RoughScores`."""
        return queries.to(self._type)

    def scores(self, prepared: Tensor, first: int, end: int) -> Tensor:
        """See `RoughScores`."""
        # cuBLAS may otherwise add partial sums in float16, which the bound does not cover.
        reduced = torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        try:
            return prepared @ self._vectors[first:end].to(self._type).T
        finally:
            torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = reduced

    def error(self, queries: Tensor) -> Tensor:
        """Rounding of the query, of the sum of dim products, and of the result (Higham, 2002, section 3.1).

        Tensor cores cut off where IEEE rounds, hence 2^-22 and not 2^-24 an addition.
        """
        lengths = queries.norm(dim=1)
        rounded = (queries - queries.to(self._type).float()).norm(dim=1)
        result = 2.0**-11 if self._type == torch.float16 else 0.0
        relative = queries.shape[1] * 2.0**-22 + result
        return 1.001 * self._longest * (rounded + relative * lengths) + 2.0**-24


class Int8Scores:
    """int8 products, summed exactly; half the bytes of float16 are read.

    A row has one scale. A query is the sum of two int8 vectors, the second of what the first leaves, so that its own
    rounding is 2^-15 and the rows' rounding is all that counts: 0.01 for 512 numbers. The bound is that of
    Cauchy and Schwarz, which is met by no real query, so some blocks are scored again for nothing.
    """

    def __init__(self, vectors: Tensor, *, device: torch.device) -> None:
        """Quantise.

        Args:
            vectors: float16 of shape (rows, dim), anywhere.
            device: where the int8 vectors go.
        """
        rows, dim = vectors.shape
        # int8 products on CUDA take sizes that 8 divides.
        self._codes = torch.zeros((rows + -rows % 8, dim + -dim % 8), dtype=torch.int8, device=device)
        self._scales = torch.ones(len(self._codes), device=device)
        self._rounding = 0.0
        self._longest = _longest(vectors)
        for first in range(0, rows, _CHUNK):
            exact = vectors[first : first + _CHUNK].to(device).float()
            codes, scales = _quantised(exact)
            self._codes[first : first + len(exact), :dim] = codes
            self._scales[first : first + len(exact)] = scales
            left = (exact.double() - scales[:, None].double() * codes).norm(dim=1)
            self._rounding = max(self._rounding, float(left.max()))
        self._longest += self._rounding

    def prepare(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """See `RoughScores`."""
        first, first_scale = _quantised(queries)
        second, second_scale = _quantised(queries - first_scale[:, None] * first)
        # One product for both, of a size that CUDA takes.
        both = torch.cat([first, second])
        short = max(32 - len(both), -len(both) % 8)
        padding = (0, self._codes.shape[1] - queries.shape[1], 0, short)
        return torch.nn.functional.pad(both, padding), torch.stack([first_scale, second_scale])

    def scores(self, prepared: tuple[Tensor, Tensor], first: int, end: int) -> Tensor:
        """See `RoughScores`."""
        queries, scales = prepared
        count = scales.shape[1]
        codes = self._codes[first : end + -(end - first) % 8]
        sums = torch._int_mm(queries, codes.T)[: 2 * count].view(2, count, -1)
        scores = sums[0] * scales[0, :, None] + sums[1] * scales[1, :, None]
        return (scores * self._scales[first : first + len(codes)])[:, : end - first]

    def error(self, queries: Tensor) -> Tensor:
        """Rounding of the rows and of the query, by Cauchy and Schwarz, and of the few float32 operations."""
        first, first_scale = _quantised(queries)
        left = queries - first_scale[:, None] * first
        second, second_scale = _quantised(left)
        rounded = (left - second_scale[:, None] * second).norm(dim=1)
        lengths = queries.norm(dim=1)
        return 1.001 * (lengths * self._rounding + self._longest * (rounded + 2.0**-20 * lengths)) + 2.0**-24


def _quantised(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """int8 of the same shape and float32 scales of shape (rows,): vectors are about codes times scales."""
    scales = (vectors.abs().amax(dim=1) / 127).clamp_min(2.0**-100)
    return (vectors / scales[:, None]).round_().to(torch.int8), scales


def _longest(vectors: Tensor) -> float:
    """The largest norm of a row."""
    longest = 0.0
    for first in range(0, len(vectors), _CHUNK):
        here = float(vectors[first : first + _CHUNK].float().norm(dim=1).max())
        if not math.isfinite(here):
            raise LookalikeError(f"rows {first} and on hold values that are not finite in float16; embed them again")
        longest = max(longest, here)
    return longest
