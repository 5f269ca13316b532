"""Folders that `Dataset.save_to_disk` and `DatasetDict.save_to_disk` write."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from src.catalog.hugging_face.part import Part, schema_features
from src.contracts.errors import CatalogueError

__all__ = ["is_saved", "saved_parts"]

_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""The last bytes of a whole Arrow stream (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format)."""


def is_saved(root: Path) -> bool:
    """Whether a folder is one that `save_to_disk` has written."""
    return (root / _DICT).is_file() or (root / _STATE).is_file()


def saved_parts(root: Path) -> list[Part]:
    """The splits of a saved `DatasetDict` (`dataset_dict.json`), or the one of a saved `Dataset` (`state.json`).

    The Arrow files are mapped into memory and read one batch at a time.

    Raises:
        CatalogueError: a file is missing, damaged or cut off.
    """
    if not (root / _DICT).is_file():
        return [_part(root, None)]
    splits = _json(root / _DICT).get("splits")
    if not isinstance(splits, list) or not splits:
        raise CatalogueError(str(root / _DICT), ["names no splits; save the data set again with `save_to_disk`"])
    return [_part(root / _plain(root / _DICT, split), split) for split in splits]


def _part(folder: Path, split: str | None) -> Part:
    state = _json(folder / _STATE)
    if state.get("_indices_data_files"):
        raise CatalogueError(
            str(folder / _STATE),
            ["rows are chosen by a file of indices, as old versions of `datasets` wrote it; save the data set again"],
        )
    named = state.get("_data_files")
    if not isinstance(named, list) or not named or not all(isinstance(one, dict) for one in named):
        raise CatalogueError(str(folder / _STATE), ["names no data files; save the data set again with `save_to_disk`"])
    files = [folder / _plain(folder / _STATE, one.get("filename")) for one in named]
    problems = [f"{file.name}: {why}" for file in files if (why := _why_unusable(file))]
    if problems:
        raise CatalogueError(str(folder), problems)
    info = _json(folder / _INFO) if (folder / _INFO).is_file() else {}
    with pa.memory_map(str(files[0])) as file:
        features = info.get("features") or schema_features(pa.ipc.open_stream(file).schema)
    own = state.get("_split")
    return Part(split or (own if isinstance(own, str) else None), features, partial(_batches, files))


def _batches(files: list[Path]) -> Iterator[pa.RecordBatch]:
    for path in files:
        with pa.memory_map(str(path)) as file:
            yield from pa.ipc.open_stream(file)


def _why_unusable(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - len(_END)))
            # Without the end's mark Arrow would read a file that is cut off between two batches as a whole one.
            if opened.read() != _END:
                return "is cut off; copy it again"
            opened.seek(0)
            pa.ipc.open_stream(opened).close()
    except (OSError, pa.ArrowException) as error:
        return f"is not there or no Arrow stream ({error}); copy it again"
    return None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CatalogueError(str(path), [f"cannot be read ({error}); copy the data set's folder again"]) from error
    return content if isinstance(content, dict) else {}


def _plain(source: Path, name: Any) -> str:
    """A name that stays within its folder."""
    if not isinstance(name, str) or Path(name).name != name or name in ("", "..", "."):
        raise CatalogueError(str(source), [f"names {name!r}, which is no name of a file or folder beside it"])
    return name
