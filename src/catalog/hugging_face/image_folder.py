"""Hugging Face's `imagefolder` layout: images beside a metadata file, or in folders named by split and label."""

from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.json as pj

from src.catalog.csv_file import read_csv
from src.catalog.folder_walk import LeftOut, walk_images
from src.catalog.hugging_face.part import Part
from src.catalog.split_names import keyword_split, split_of_file
from src.contracts.errors import CatalogueError

__all__ = ["image_folder_parts"]

_NAMES = ("metadata.csv", "metadata.jsonl")


def image_folder_parts(root: Path) -> list[Part]:
    """The splits of a folder as https://huggingface.co/docs/datasets/image_dataset describes it; none where it is none.

    Args:
        root: holds `metadata.csv` or `metadata.jsonl`, whose column `file_name` is relative to its own folder, alone
            (`metadata.csv`) or by split (`train/metadata.jsonl`); or images as `SPLIT/LABEL/NAME`.

    Returns:
        Parts with the column `image`, a path relative to `root`, and the metadata's or `label`, the folder's name.

    Raises:
        CatalogueError: a metadata file cannot be read, has no `file_name`, or names a file outside of its folder.
    """
    tables: list[tuple[str | None, pa.Table]] = []
    for path in sorted(path for name in _NAMES for path in root.rglob(name)):
        below = PurePosixPath(path.relative_to(root).as_posix()).parent
        tables.append((split_of_file(below), _metadata(path, below)))
    features = {"image": {"_type": "Image"}}
    if not tables:
        tables = list(_labelled(root).items())
        features["label"] = {"_type": "ClassLabel"}
    return [Part(split, features, table.to_batches) for split, table in tables]


def _metadata(path: Path, below: PurePosixPath) -> pa.Table:
    try:
        table = read_csv(path) if path.suffix == ".csv" else pj.read_json(path)
    except (OSError, pa.ArrowException) as error:
        raise CatalogueError(str(path), [f"cannot be read ({error})"]) from error
    if "file_name" not in table.column_names:
        raise CatalogueError(str(path), [f"no column 'file_name'; the columns are: {', '.join(table.column_names)}"])
    names = table["file_name"].to_pylist()
    problems = [
        f"row {row}: file_name={name!r} must be a path below the file's folder"
        for row, name in enumerate(names, 1)
        if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
    ]
    if problems:
        raise CatalogueError(str(path), problems)
    return table.drop_columns("file_name").append_column("image", pa.array([str(below / name) for name in names]))


def _labelled(root: Path) -> dict[str | None, pa.Table]:
    """Images as `SPLIT/LABEL/NAME`, by split; none where a folder of the first level isn't named by a split."""
    rows: dict[str | None, dict[str, list[str]]] = {}
    for path in walk_images(root, LeftOut()):
        split = keyword_split(path[0])
        if split is None or len(path) < 3:
            return {}
        columns = rows.setdefault(split, {"image": [], "label": []})
        columns["image"].append("/".join(path))
        columns["label"].append(path[-2])
    return {split: pa.table(columns) for split, columns in rows.items()}
