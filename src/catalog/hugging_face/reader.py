"""Reader of a Hugging Face data set: its images, the names of its classes, its splits."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from src.catalog.hugging_face.hub import hub_parts
from src.catalog.hugging_face.image_folder import image_folder_parts
from src.catalog.hugging_face.parquet_files import parquet_parts
from src.catalog.hugging_face.part import Features, Part
from src.catalog.hugging_face.saved import is_saved, saved_parts
from src.catalog.image_column import read_image_column
from src.catalog.manifest import map_columns
from src.contracts.errors import CatalogueError
from src.contracts.plain_columns import plain_column

__all__ = ["read_hugging_face"]

log = logging.getLogger(__name__)

_MEDIA = ("Image", "Audio", "Video", "Pdf")
_LAYOUTS = (
    "a folder of `save_to_disk` (dataset_dict.json or state.json), Parquet files (data/train-00000-of-00001.parquet) "
    "or an image folder (metadata.csv, metadata.jsonl or SPLIT/LABEL/NAME.jpg)"
)


def read_hugging_face(
    root: Path, configuration: str, columns: Mapping[str, str], *, splits: Mapping[str, str], images: Path
) -> pa.Table:
    """Read a data set's rows; images are written to files, each content once.

    Images pass through memory some hundred at a time (of a Parquet file a row group); the other columns stay in it.
    Each image is read and hashed at each call. Further columns of images, sound or video are left out.

    Args:
        root: the data set's folder, or where there is none its name on the hub.
        configuration: a folder below `root`, or the name of a configuration; empty for none.
        columns: our column name -> the data set's. Without one, `image` is its only column of images, and `item_id`
            its only column of classes.
        splits: the data set's split -> ours; a split that becomes `none` is not read.
        images: folder for the images.

    Returns:
        Table with our column names. Classes are their names, null where the class is -1. `split` is the data set's
        unless `columns` maps one; `image_id` is `SPLIT/NUMBER`, counted from 0, where the data set has none.

    Raises:
        CatalogueError: no such data set, a file is damaged, or columns are missing or differ between splits.
        ConfigError: it is no folder, and the package `datasets` is not installed.
    """
    folder = root / configuration
    parts = _parts(folder) if folder.is_dir() else hub_parts(str(root), configuration)
    kept = [part for part in parts if part.split is None or splits.get(part.split, part.split) != "none"]
    if not kept:
        raise CatalogueError(str(folder), ["no split to read: `data.splits` sets all of them to none"])
    columns = _with_defaults(str(folder), columns, kept[0].features)
    try:
        table = pa.concat_tables([_rows(part, columns, images) for part in kept], promote_options="permissive")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CatalogueError(str(folder), [str(error)]) from error
    return map_columns(str(folder), table, columns)


def _parts(folder: Path) -> list[Part]:
    if is_saved(folder):
        return saved_parts(folder)
    parts = parquet_parts(folder) or image_folder_parts(folder)
    if not parts:
        raise CatalogueError(str(folder), [f"no Hugging Face data set; expected {_LAYOUTS}"])
    return parts


def _with_defaults(source: str, columns: Mapping[str, str], features: Features) -> dict[str, str]:
    """The mapping, completed by what the features say."""
    found = dict(columns)
    for ours, kind in (("image", "Image"), ("item_id", "ClassLabel")):
        named = [name for name in features if _type(features, name) == kind]
        if ours in columns or ours in features or not named:
            continue
        if len(named) > 1:
            raise CatalogueError(
                source, [f"several columns are {kind}: {', '.join(named)}; choose one with `data.columns.{ours}=...`"]
            )
        found[ours] = named[0]
    return found


def _rows(part: Part, columns: Mapping[str, str], images: Path) -> pa.Table:
    """The rows of one split, with images in files."""
    image = columns.get("image", "image")
    tables = [_converted(batch, part.features, image, images) for batch in part.batches()]
    table = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
    if columns.get("image_id", "image_id") not in table.column_names:
        ids = [f"{part.split or 'row'}/{row}" for row in range(table.num_rows)]
        table = table.append_column("image_id", pa.array(ids, pa.string()))
    if part.split is None or "split" in columns:
        return table
    split = pa.array([part.split] * table.num_rows, pa.string())
    if "split" in table.column_names:
        log.warning("the column 'split' is left out: the split is the data set's; set `data.columns.split=split`")
        table = table.drop_columns("split")
    return table.append_column("split", split)


def _converted(batch: pa.RecordBatch | pa.Table, features: Features, image: str, images: Path) -> pa.Table:
    converted: dict[str, pa.ChunkedArray] = {}
    for name in batch.schema.names:
        column = batch.column(name)
        column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
        if name == image:
            try:
                converted[name] = read_image_column(column, images)[0]
            except ValueError as error:
                raise ValueError(f"column {name!r} {error}") from error
        elif _type(features, name) == "ClassLabel":
            converted[name] = _class_names(name, column, features[name].get("names"))
        elif _type(features, name) not in _MEDIA:
            converted[name] = plain_column(column)
    return pa.table(converted)


def _class_names(name: str, column: pa.ChunkedArray, names: object) -> pa.ChunkedArray:
    """The names of classes; `datasets` writes -1 where the class is unknown."""
    if not isinstance(names, list) or pa.types.is_string(column.type):
        return plain_column(column)
    numbers = pc.if_else(pc.equal(column, -1), None, column)
    for number in pc.min_max(numbers).as_py().values():
        if number is not None and not 0 <= number < len(names):
            raise ValueError(f"column {name!r} has class {number}, but there are {len(names)} names of classes")
    return pc.take(pa.chunked_array([pa.array(names, pa.string())]), numbers)


def _type(features: Features, name: str) -> str | None:
    feature = features.get(name)
    return feature.get("_type") if isinstance(feature, dict) else None
