"""Reader of tar shards: the table of their samples, whose images stay in the shards."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
import pyarrow as pa

from src.catalog.audit import is_remote
from src.catalog.manifest import map_columns
from src.catalog.shard_address import shard_address
from src.catalog.split_names import split_of_file
from src.catalog.webdataset.patterns import find_shards
from src.catalog.webdataset.samples import Sample, iterate_samples
from src.contracts.errors import CatalogueError

__all__ = ["read_webdataset"]


def read_webdataset(root: Path, pattern: str, columns: Mapping[str, str]) -> pa.Table:
    """List the samples of tar shards. No image is read: `image` is its shard's path with offset and length.

    Memory: one sample, and the rows: about 0.5 GB for a million samples with a small JSON. Time: one header a member,
    80 s for these at each call on one core; images are skipped in local shards, while a remote shard is downloaded as
    a whole where its images are smaller than fsspec's blocks of 5 MiB.

    Args:
        root: folder of the shards.
        pattern: see `find_shards`.
        columns: our column name -> the samples': an extension (`cls`, `txt`) or a field of the JSON. `image` names the
            extension of the image where a sample has several (`left.jpg`).

    Returns:
        Table with our column names. `image_id` is `SHARD#KEY` where there is none, `item_id` is `cls` where there is no
        other, `split` is the one in the shard's name (`split_of_file`) where there is no other.

    Raises:
        CatalogueError: shards that are missing, cut off or damaged, and samples without an image that can be used; it
            names each.
    """
    source = f"{root}/{pattern}"
    try:
        shards = find_shards(root, pattern)
    except Exception as error:  # a remote file system's own
        raise CatalogueError(source, [f"`data.manifest={pattern}`: {error}"]) from error
    if not shards:
        raise CatalogueError(source, ["no such file; set `data.root`, and `data.manifest` to the shards' names"])
    rows = _Rows()
    problems: list[str] = []
    for shard in shards:
        split = split_of_file(PurePosixPath(shard))
        try:
            with _opened(root, shard) as file:
                for sample in iterate_samples(file):
                    wrong = rows.add(sample, shard, split, columns.get("image"))
                    problems += [f"{shard}, sample {sample.key!r}: {what}" for what in wrong]
        except (OSError, ValueError) as error:
            problems.append(f"{shard}: {error}")
    if problems:
        raise CatalogueError(source, problems)
    table = rows.table()
    mapped = {ours: theirs for ours, theirs in columns.items() if ours != "image"}
    if "item_id" not in mapped and "item_id" not in table.column_names and "cls" in table.column_names:
        mapped["item_id"] = "cls"
    return map_columns(source, table, mapped)


@contextmanager
def _opened(root: Path, shard: str) -> Iterator[IO[bytes]]:
    if not is_remote(shard):
        with (root / shard).open("rb") as file:
            yield file
        return
    try:
        with fsspec.open(shard, "rb") as file:
            yield file
    except ValueError:
        raise
    except Exception as error:  # a backend raises what its library raises
        raise OSError(f"cannot be read: {error} ({type(error).__name__})") from error


class _Rows:
    """Columns that grow by a row; a column that a row lacks is null there."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._images: list[str] = []
        self._ids: list[str] = []
        self._splits: list[str | None] = []

    def add(self, sample: Sample, shard: str, split: str | None, extension: str | None) -> list[str]:
        """Add a sample, or say what is wrong with it."""
        problems = list(sample.problems)
        extensions = [extension.lower()] if extension else list(sample.images)
        if len(extensions) > 1:
            several = ", ".join(extensions)
            problems.append(f"several images ({several}); choose one with `data.columns.image={extensions[0]}`")
        elif not extensions or extensions[0] not in sample.images:
            has = ", ".join([*sample.images, *sample.texts]) or "nothing that is read"
            problems.append(f"no image{f' .{extension}' if extension else ''}; it has: {has}")
        elif not sample.images[extensions[0]][1]:
            problems.append("the image is empty")
        values: dict[str, Any] = {}
        for name, content in sample.texts.items():
            try:
                values |= _fields(name, content)
            except (ValueError, RecursionError) as error:
                problems.append(f".{name} {error}")
        if not _is_utf8(sample.key):
            problems.append("its name is not UTF-8")
        if problems:
            return problems
        row = len(self._images)
        for name, value in values.items():
            column = self._columns.setdefault(name, [])
            column += [None] * (row - len(column)) + [value]
        self._images.append(shard_address(*sample.images[extensions[0]], shard))
        self._ids.append(f"{shard}#{sample.key}")
        self._splits.append(split)
        return []

    def table(self) -> pa.Table:
        """All rows; empties this object."""
        count = len(self._images)
        made = {}
        for name in list(self._columns):
            values = self._columns.pop(name)
            made[name] = _array(values + [None] * (count - len(values)))
        made.setdefault("image_id", pa.array(self._ids, pa.string()))
        if any(self._splits):
            made.setdefault("split", pa.array(self._splits, pa.string()))
        return pa.table(made | {"image": pa.array(self._images, pa.string())})


def _fields(name: str, content: bytes) -> dict[str, Any]:
    """The columns that a text member gives: its own, or the fields of a JSON object."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 ({error.reason})") from error
    if name not in ("json", "jsn"):
        return {name: text.strip()}
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError("holds no JSON object, whose fields would be columns")
    if not all(map(_is_utf8, fields)):
        raise ValueError("has a field whose name is not UTF-8")
    return {key: json.dumps(value) if isinstance(value, dict) else value for key, value in fields.items()}


def _array(values: list[Any]) -> pa.Array:
    """Values of one type, or the text of values of several."""
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, OverflowError, TypeError):
        return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
