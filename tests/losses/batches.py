"""Batches with facts, random and ugly."""

import torch
from torch import Tensor

from src.datamodules.training_set import Facts


def facts(
    items: list[int],
    *,
    images: list[int] | None = None,
    parents: list[int] | None = None,
    categories: list[int] | None = None,
    domains: list[int] | None = None,
) -> Facts:
    unknown = [-1] * len(items)
    columns = items, images or list(range(len(items))), parents or items, categories or unknown, domains or unknown
    return Facts(*(torch.tensor(column) for column in columns))


def embeddings(count: int, dim: int = 6, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    raw = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(raw).to(dtype).requires_grad_()


CONSTANT = torch.nn.functional.normalize(torch.ones(12, 6))
ITEMS = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
FACTS = {
    "everything known": facts(
        ITEMS,
        parents=[0, 0, 0, 0, 0, 0, 2, 2, 2, 3, 3, 3],
        categories=[0] * 9 + [1] * 3,
        domains=[0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1],
    ),
    "some domains unknown": facts(ITEMS, domains=[0, -1, 1, 0, 1, -1, 1, 1, 0, -1, -1, -1]),
    "one item": facts([4] * 12, domains=[0, 1] * 6),
    "no positives": facts(list(range(12)), parents=[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], domains=[0, 1] * 6),
    "uneven": facts([0] * 7 + [1, 2, 2, 3, 3], domains=[1] * 7 + [0] * 5),
    "one parent": facts(ITEMS, parents=[0] * 12),
}
