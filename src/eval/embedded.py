"""Embeddings of images, with the ids and columns that evaluation needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from rich.progress import track

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.contracts.plain_columns import plain_table
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.vector_column import directions
from src.datamodules.pixels import iterate_pixels
from src.eval.image_quality import QUALITIES, image_quality

__all__ = ["Embedded", "embed_rows"]

Embed = Callable[[np.ndarray], np.ndarray]
"""uint8 pixels of shape (images, size, size, 3) to float32 embeddings of shape (images, dim).

Without a preprocessing spec it is given image ids instead, an object array of shape (images,).
"""


@dataclass(frozen=True)
class Embedded:
    """Embeddings and ids, row by row.

    Attributes:
        vectors: float32 of shape (images, dim), of any norm but 0.
        image_ids: object array of shape (images,).
        item_ids: object array of shape (images,).
        attributes: further columns, row by row: the catalogue's, ids and roles included; of plain types, see
            `plain_column`.
    """

    vectors: np.ndarray
    image_ids: np.ndarray
    item_ids: np.ndarray
    attributes: pa.Table | None = None

    def __post_init__(self) -> None:
        if self.attributes is not None:
            object.__setattr__(self, "attributes", plain_table(self.attributes))

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: np.ndarray) -> "Embedded":
        """Some of the images, in the order of `rows` (int64 of shape (images,)); `self` for all rows in order."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        attributes = None if self.attributes is None else self.attributes.take(pa.array(rows))
        return Embedded(self.vectors[rows], self.image_ids[rows], self.item_ids[rows], attributes)

    def attribute(self, name: str) -> pa.ChunkedArray | None:
        """One column of the attributes; None where there is no such column, or it holds nothing but null."""
        if self.attributes is None or name not in self.attributes.column_names:
            return None
        column = self.attributes[name]
        return None if column.null_count == len(column) else column

    def normalised(self, what: str) -> np.ndarray:
        """The vectors with norm 1, contiguous; the same array where they have norm 1 already.

        Raises:
            LookalikeError: a number that is not finite, or a zero vector, which has no direction.
        """
        normalised, bad = directions(self.vectors)
        if len(bad):
            raise LookalikeError(
                f"{what}: {len(bad)} of {len(self)} embeddings hold NaN or infinity or are all zero, first image "
                f"{self.image_ids[bad[0]]!r}; such vectors have no cosine"
            )
        return normalised


def embed_rows(
    catalogue: Catalogue,
    rows: np.ndarray,
    spec: PreprocessingSpec | None,
    embed: Embed,
    *,
    batch: int,
    what: str,
    edit: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> Embedded:
    """Embed some rows of a catalogue, with a progress bar.

    Where images are read, their quality (`image_quality`) is added to the catalogue's columns.

    Args:
        catalogue: where the images are.
        rows: int64 array of shape (images,).
        spec: how pixels are made; None reads no images.
        embed: the encoder, or a baseline.
        batch: images embedded at once.
        what: label of the progress bar.
        edit: changes pictures before they are resized; see `iterate_pixels`.
    """
    batches: Iterator[np.ndarray]
    if spec is None:
        batches = (catalogue.column("image_id", rows[at : at + batch]) for at in range(0, len(rows), batch))
    else:
        batches = iterate_pixels(catalogue, rows, spec, batch=batch, edit=edit)
    steps = track(batches, f"embedding {what}", total=-(-len(rows) // batch), transient=True)
    vectors, qualities = [], []
    for pixels in steps:
        vectors.append(embed(pixels))
        if spec is not None:
            qualities.append(image_quality(pixels))
    attributes = catalogue.items.take(pa.array(rows))
    if qualities:
        for name, values in zip(QUALITIES, np.concatenate(qualities).T, strict=True):
            # A column of that name in the catalogue is kept.
            if name not in attributes.column_names:
                attributes = attributes.append_column(name, pa.array(values, pa.float32()))
    return Embedded(
        np.concatenate(vectors) if vectors else np.empty((0, 1), np.float32),
        catalogue.column("image_id", rows),
        catalogue.column("item_id", rows),
        attributes,
    )
