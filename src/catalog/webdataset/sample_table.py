"""The table of samples, made one sample at a time."""

import json
from typing import Any

import pyarrow as pa

from src.catalog.shard_address import shard_address
from src.catalog.webdataset.samples import Sample

__all__ = ["SampleTable"]


class SampleTable:
    """Columns that grow by a row; a column that a row lacks is null there."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._images: list[str] = []
        self._ids: list[str] = []
        self._splits: list[str | None] = []

    def add(self, sample: Sample, shard: str, split: str | None, extension: str | None) -> list[str]:
        """Add a sample, or say what is wrong with it.

        Args:
            sample: one.
            shard: its path or URI.
            split: of the shard.
            extension: of the image; None where a sample has one image.

        Returns:
            Why the sample was left out; empty where it was added.
        """
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
        """All rows; call it once, as it empties this object.

        Returns:
            A column for each text member and field of JSON, `image` (`shard_address`), and where no field has that
            name `image_id` (`SHARD#KEY`) and `split`, if any shard has one.
        """
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
