"""The column `image` of a Parquet manifest: paths, images as bytes, or Hugging Face's structs of both."""

import hashlib
import os
import secrets
from collections import Counter
from pathlib import Path

import pyarrow as pa

from src.contracts.plain_columns import plain_column

__all__ = ["read_image_column"]

_KINDS = "paths or URIs, images as bytes, or structs of `bytes` and `path`"


def read_image_column(column: pa.ChunkedArray, folder: Path) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Read images or paths; images are written to files, each content once, named by its SHA-256.

    Args:
        column: strings; binary, which is taken as paths where all of it is UTF-8; or structs with the fields `bytes`,
            `path` or both, as Hugging Face data sets write them. Of a struct with both, the bytes count.
        folder: where files are written.

    Returns:
        The images' paths (absolute where they were written), and their ids: the path, and where several images have the
        same one or there is none, their content as well. Null where there is neither bytes nor path.

    Raises:
        ValueError: another type; the message continues "column ... ".
        OSError: a file cannot be written.
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return column, column
    contents, paths = _parts(column)
    names = Counter(paths)
    images: list[str | None] = []
    ids: list[str | None] = []
    for content, path in zip(contents, paths, strict=True):
        data = content.as_buffer() if content.is_valid else None
        if not data:
            images.append(path)
            ids.append(path)
            continue
        digest = hashlib.sha256(data).hexdigest()[:32]
        images.append(str(_written(folder.resolve() / digest, data)))
        ids.append(path if path and names[path] == 1 else f"{path or ''}#{digest}")
    return pa.chunked_array([pa.array(images, pa.string())]), pa.chunked_array([pa.array(ids, pa.string())])


def _parts(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[str | None]]:
    """Contents and paths of each row."""
    kind = column.type
    nothing = pa.chunked_array([pa.nulls(len(column), pa.large_binary())])
    if pa.types.is_struct(kind):
        fields = {field.name for field in kind}
        if not fields or not fields <= {"bytes", "path"}:
            raise ValueError(f"holds {kind}; it must hold {_KINDS}")
        # With the struct's own nulls.
        parts = dict(zip((field.name for field in kind), column.flatten(), strict=True))
        contents, paths = (plain_column(parts[name]) if name in parts else nothing for name in ("bytes", "path"))
        return contents.cast(pa.large_binary()), paths.cast(pa.string()).to_pylist()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        contents = column.cast(pa.large_binary())
        try:
            return nothing, contents.cast(pa.large_string()).to_pylist()
        except pa.ArrowInvalid:
            return contents, [None] * len(column)
    hint = "; a row is one image: give each image of a list its own row" if pa.types.is_nested(kind) else ""
    raise ValueError(f"holds {kind}; it must hold {_KINDS}{hint}")


def _written(path: Path, data: pa.Buffer) -> Path:
    if not path.exists() or path.stat().st_size != len(data):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not `atomic_file`, which waits for the disk twice a file: a file that a power cut left short is written again.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        temporary.write_bytes(data)
        os.replace(temporary, path)
    return path
