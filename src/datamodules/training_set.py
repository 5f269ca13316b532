"""The training set as integers: items, parents, categories and domains of its images."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt8
from torch import Tensor

from src.catalog.catalogue import Catalogue
from src.contracts.tables import DOMAINS
from src.contracts.text_columns import text_column

__all__ = ["Batch", "Facts", "TrainingSet", "training_set"]


class Facts(NamedTuple):
    """The labels of each image of a batch, which losses and miners use.

    Attributes:
        items: number of the item: the class label of most losses.
        images: number of the image in the training set, by which older copies of an image are recognised.
        parents: number of the product that the item is a variant of; an item without one is its own parent.
        categories: number of the category, -1 where it is unknown.
        domains: position in `DOMAINS`, -1 where it is unknown.
    """

    items: Int64[Tensor, " batch"]
    images: Int64[Tensor, " batch"]
    parents: Int64[Tensor, " batch"]
    categories: Int64[Tensor, " batch"]
    domains: Int64[Tensor, " batch"]


class Batch(NamedTuple):
    """Images to train on.

    Attributes:
        pixels: uint8 of shape (batch, size, size, 3); after augmentation float32 on the scale 0..255.
        facts: of each image.
    """

    pixels: UInt8[Tensor, "batch height width 3"]
    facts: Facts


@dataclass(frozen=True)
class TrainingSet:
    """The images of a catalogue's training split, as numbers. All arrays are int64 of shape (images,).

    Attributes:
        rows: row of each image in the catalogue.
        items: number of each image's item: 0 .. number of items - 1.
        parents: see `Facts`.
        categories: see `Facts`.
        domains: see `Facts`.
        sequences: number of the sequence that each image is a frame of, -1 for none; None where the catalogue has no
            column `sequence` of names or numbers.
    """

    rows: np.ndarray
    items: np.ndarray
    parents: np.ndarray
    categories: np.ndarray
    domains: np.ndarray
    sequences: np.ndarray | None = None

    def __len__(self) -> int:
        """Images."""
        return len(self.rows)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify the training set."""
        digest = hashlib.sha256()
        for column in (self.rows, self.items, self.parents, self.categories, self.domains):
            digest.update(column.tobytes())
        return digest.hexdigest()[:16]

    @property
    def item_count(self) -> int:
        """Number of items."""
        return int(self.items.max()) + 1 if len(self.items) else 0


def training_set(catalogue: Catalogue) -> TrainingSet:
    """Number a catalogue's training split; items, parents and categories are numbered by name."""
    rows = catalogue.train_rows()
    table = catalogue.items.take(pa.array(rows))
    items = table["item_id"].to_pylist()
    # An item without a parent must not share a number with a parent of the same name.
    parents = [
        f"parent {parent}" if parent is not None else f"item {item}"
        for parent, item in zip(table["parent_id"].to_pylist(), items, strict=True)
    ]
    return TrainingSet(
        rows=rows,
        items=_numbered(items),
        parents=_numbered(parents),
        categories=_numbered(table["category"].to_pylist()),
        domains=np.array([DOMAINS.index(d) if d is not None else -1 for d in table["domain"].to_pylist()], np.int64),
        sequences=_sequences(table),
    )


def _sequences(table: pa.Table) -> np.ndarray | None:
    if "sequence" not in table.column_names:
        return None
    try:
        names, _ = text_column(table["sequence"], is_id=False)
    except ValueError:  # a column of that name which is something else
        return None
    return _numbered(names.to_pylist()) if names.null_count < len(names) else None


def _numbered(names: Sequence[str | None]) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(sorted({name for name in names if name is not None}))}
    return np.array([numbers[name] if name is not None else -1 for name in names], np.int64)
