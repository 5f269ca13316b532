"""What validation tells metrics of its images: numbers of items and images, roles, columns and slices."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torchmetrics import Metric

from src.contracts.errors import ConfigError
from src.eval.relevance import NULL
from src.eval.slice_columns import slice_values

__all__ = ["facts_of", "facts_on", "validation_facts"]

Facts = dict[str, Any]
"""By name a tensor of shape (images,), or a dictionary of such tensors; see `RetrievalStates.update`."""


def validation_facts(
    table: pa.Table, metrics: Mapping[str, Metric], *, is_query: np.ndarray, is_gallery: np.ndarray
) -> Facts:
    """Collect what metrics may ask for; `image_ids` are the places of the images.

    Args:
        table: the images' rows of the catalogue.
        metrics: their attributes `columns` and `slices` name the columns that are collected.
        is_query: bool of shape (images,).
        is_gallery: bool of shape (images,).

    Raises:
        ConfigError: slices by a column that the catalogue does not have.
    """
    return {
        "item_ids": _codes(table["item_id"]),
        "image_ids": torch.arange(len(table)),
        "is_query": torch.from_numpy(is_query),
        "is_gallery": torch.from_numpy(is_gallery),
        "columns": {name: _column(table, name) for name in _named(metrics, "columns")},
        "slices": {name: _slices(table, name, is_query) for name in _named(metrics, "slices")},
    }


def facts_of(facts: Facts, rows: Tensor) -> Facts:
    """The facts of some images, by their places, on the device of `rows`."""
    return {
        name: facts_of(value, rows) if isinstance(value, dict) else value.to(rows.device)[rows]
        for name, value in facts.items()
    }


def facts_on(facts: Facts, device: torch.device) -> Facts:
    """The facts on a device, so that batches need not copy them."""
    return {
        name: facts_on(value, device) if isinstance(value, dict) else value.to(device) for name, value in facts.items()
    }


def _named(metrics: Mapping[str, Metric], attribute: str) -> list[str]:
    return sorted({name for metric in metrics.values() for name in getattr(metric, attribute, ())})


def _codes(column: pa.ChunkedArray) -> Tensor:
    indices = column.combine_chunks().dictionary_encode().indices
    return torch.from_numpy(pc.fill_null(indices, NULL).to_numpy(zero_copy_only=False).astype(np.int64))


def _column(table: pa.Table, name: str) -> Tensor:
    """The codes of a column; null everywhere where the catalogue does not have it."""
    return _codes(table[name]) if name in table.column_names else torch.full((len(table),), NULL)


def _slices(table: pa.Table, name: str, is_query: np.ndarray) -> Tensor:
    """The slices of evaluate.py's report, -1 for images that are no queries."""
    if name not in table.column_names:
        raise ConfigError(f"`metric`: slices by {name}; the catalogue has {', '.join(table.column_names)}")
    codes = np.full(len(table), NULL)
    rows = np.flatnonzero(is_query)
    codes[rows] = slice_values(table[name].take(pa.array(rows)), name)[1]
    return torch.from_numpy(codes)
