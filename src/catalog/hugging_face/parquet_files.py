"""The Parquet layout of hub repositories: `data/train-00000-of-00002.parquet`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from src.catalog.hugging_face.part import Part, schema_features
from src.catalog.split_names import SHARD, keyword_split, split_of_file
from src.contracts.errors import CatalogueError

__all__ = ["parquet_parts"]

_ROWS = 256
"""Rows read at a time: a photo of several megabytes each is a gigabyte of memory."""


def parquet_parts(root: Path) -> list[Part]:
    """The splits of the Parquet files below a folder, by `split_of_file`; none where there is no Parquet file.

    Raises:
        CatalogueError: a file is no Parquet, shards are missing, or the folder holds several configurations.
    """
    paths = [PurePosixPath(path.relative_to(root).as_posix()) for path in sorted(root.rglob("*.parquet"))]
    paths = [path for path in paths if not any(part.startswith((".", "_")) for part in path.parts)]
    configurations = sorted({"/".join(part for part in path.parent.parts if not keyword_split(part)) for path in paths})
    if len(configurations) > 1:
        raise CatalogueError(
            str(root),
            [
                f"holds several configurations ({', '.join(name or '.' for name in configurations)}); name one with "
                f"`data.manifest={configurations[-1]}`"
            ],
        )
    problems = _missing(paths)
    files: dict[str | None, list[Path]] = {}
    features = {}
    for path in paths:
        split = split_of_file(path)
        try:
            features[split] = schema_features(pq.read_schema(root / path))
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{path}: not a Parquet file ({error}); fetch it again (Git LFS leaves a pointer)")
        files.setdefault(split, []).append(root / path)
    if problems:
        raise CatalogueError(str(root), problems)
    return [Part(split, features[split], partial(_batches, own)) for split, own in files.items()]


def _batches(files: list[Path]) -> Iterator[pa.RecordBatch]:
    for path in files:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS)


def _missing(paths: list[PurePosixPath]) -> list[str]:
    """Shards whose siblings say that they exist."""
    found: dict[tuple[str, int], set[int]] = {}
    for path in paths:
        shard = SHARD.fullmatch(path.stem)
        if shard:
            key = str(path.parent / shard["split"]), int(shard["count"])
            found.setdefault(key, set()).add(int(shard["number"]))
    return [
        f"{name}-{number:05d}-of-{count:05d}.parquet is missing; fetch it"
        for (name, count), numbers in found.items()
        for number in sorted(set(range(count)) - numbers)
    ]
