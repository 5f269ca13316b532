"""A catalogue that is ready for use: its rows with splits and roles, and the files of its images."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.catalog.assign_splits import divide
from src.catalog.audit import audit_rows, queries_without_gallery
from src.catalog.convert import convert_columns
from src.catalog.folder import read_folder
from src.catalog.hugging_face.reader import read_hugging_face
from src.catalog.image_source import read_image
from src.catalog.manifest import read_manifest
from src.catalog.own_readers import own_reader
from src.catalog.public import PUBLIC_READERS
from src.catalog.public.held_out import hold_out_classes
from src.catalog.roles import with_roles
from src.catalog.webdataset.reader import read_webdataset
from src.contracts.errors import CatalogueError
from src.contracts.pixel_box import PixelBox, fractions_of
from src.contracts.preprocessing import ImageError, PreprocessingSpec, cut, decode, resize
from src.contracts.settings import DataSettings
from src.contracts.settings.csv import DECIMALS
from src.contracts.settings.data import READERS
from src.contracts.tables import SPLITS, validate_items
from src.shop import open_shop

__all__ = ["Catalogue", "open_catalogue"]


@dataclass(frozen=True)
class Catalogue:
    """The items table with the columns `split`, `is_query` and `is_gallery`, none of them null.

    Attributes:
        items: one row for each image.
        root: folder of relative image paths.
    """

    items: pa.Table
    root: Path

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each image, by its image id."""
        return {image: row for row, image in enumerate(self.items["image_id"].to_pylist())}

    def train_rows(self) -> np.ndarray:
        """Rows to train on: int64 of shape (images,)."""
        return self._rows("train", None)

    def split_rows(self, split: str) -> np.ndarray:
        """All rows of a split, whatever their roles: int64 of shape (images,)."""
        return self._rows(split, None)

    def query_rows(self, split: str) -> np.ndarray:
        """Rows of the query images: int64 of shape (queries,)."""
        return self._rows(split, "is_query")

    def gallery_rows(self, split: str | None) -> np.ndarray:
        """Rows of the gallery images, of one split or of all: int64 of shape (images,)."""
        return self._rows(split, "is_gallery")

    def test_split(self) -> str:
        """`test` where there are test queries, else `val`."""
        return "test" if len(self.query_rows("test")) else "val"

    def column(self, name: str, rows: np.ndarray) -> np.ndarray:
        """One column's values in some rows, as an object array."""
        return np.asarray(self.items[name].take(pa.array(rows)).to_pylist(), dtype=object)

    def image_bytes(self, row: int) -> bytes:
        """The content of the file of one row's image.

        Raises:
            UnreadableImageError: it cannot be read or fetched; the message says why.
        """
        return read_image(self.root, self.items["image"][int(row)].as_py())

    def box(self, row: int) -> PixelBox | None:
        """The part of one row's picture that shows the item; None for all of it."""
        if "box" not in self.items.column_names:
            return None
        box = self.items["box"][int(row)].as_py()
        return None if box is None else (box[0], box[1], box[2], box[3])

    def picture(self, row: int, *, spec: PreprocessingSpec | None = None) -> np.ndarray:
        """Decode one row's image and cut its box out: uint8 of shape (height, width, 3); `spec` as in `decode`.

        Raises:
            ImageError: it cannot be read, is not an image, or the box reaches out of it; the message names row and
                image.
        """
        box = self.box(row)
        try:
            data = self.image_bytes(row)
            part = None if box is None else fractions_of(box, data)
            pixels = decode(data, spec=spec, box=part)
        except ImageError as error:
            raise type(error)(f"row {row + 1}: {self.items['image'][row].as_py()}: {error}") from error
        return pixels if part is None else cut(pixels, part)

    def pixels(self, row: int, spec: PreprocessingSpec) -> np.ndarray:
        """One row's pixels for an encoder: uint8 of shape (size, size, 3); raises as `picture`."""
        return resize(self.picture(row, spec=spec), spec)

    def _rows(self, split: str | None, role: str | None) -> np.ndarray:
        belonging = {"train": ["train", "all"], "val": ["val", "held_out", "all"], "test": ["test", "held_out", "all"]}
        keep = pc.is_in(self.items["split"], pa.array(belonging[split] if split else list(SPLITS)))
        if role:
            keep = pc.and_(keep, self.items[role])
        rows: np.ndarray = np.flatnonzero(keep.to_numpy())
        return rows


def open_catalogue(data: DataSettings, *, need_gallery: bool = False, need_files: bool = True) -> Catalogue:
    """Read a catalogue, assign splits and roles, and audit all rows.

    Args:
        data: the reader and its settings.
        need_gallery: also refuse queries that have no gallery image (training refuses them; evaluation counts them).
        need_files: also refuse rows whose image is no file (a pipeline puts them into quarantine).

    Raises:
        CatalogueError: rows cannot be used; it lists each with its number (from 1, without the header).
        ConfigError: the catalogue lacks what the split needs, or a split is empty.
    """
    root = Path(data.root)
    if data.reader == "shop":
        shop = data.shop
        table = open_shop(
            root, parents=shop.parents, seed=shop.seed, image_size=shop.image_size, sessions=shop.sessions
        )
        return Catalogue(divide(table, data), root)
    source = root / data.manifest if data.reader == "manifest" else root
    table = _read(source, data)
    decimal = DECIMALS[data.csv.decimal]
    try:
        table, problems = convert_columns(
            table, splits=data.split_names(), domains=data.domain_names(), decimal=decimal
        )
    except ValueError as error:
        raise CatalogueError(str(source), [str(error)]) from error
    problems += audit_rows(table, root, files=need_files)
    if not any("item_id" in what for _, what in problems):
        table = divide(with_roles(table), data)
        problems += queries_without_gallery(table) if need_gallery else []
    if problems:
        raise CatalogueError(str(source), [f"row {row + 1}: {what}" for row, what in sorted(problems)])
    return Catalogue(validate_items(table), root)


def _read(source: Path, data: DataSettings) -> pa.Table:
    if data.reader not in READERS:
        return own_reader(data.reader)(source)
    if data.reader in PUBLIC_READERS:
        table = PUBLIC_READERS[data.reader](source)
        return hold_out_classes(table, fraction=data.val_fraction, seed=data.split_seed)
    if data.reader == "folder":
        return read_folder(source)
    images = Path(data.cache) / "images"
    if data.reader == "hf":
        return read_hugging_face(source, data.manifest, data.columns, splits=data.split_names(), images=images)
    if data.reader == "webdataset":
        return read_webdataset(source, data.manifest, data.columns)
    return read_manifest(
        source,
        data.columns,
        delimiter=data.csv.delimiter,
        encoding=data.csv.encoding,
        decimal=DECIMALS[data.csv.decimal],
        images=images,
    )
