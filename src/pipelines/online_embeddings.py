"""Online look-up of embeddings by image id: a SQLite file, written from the latest view and opened by every process."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from deltalake import DeltaTable

from src.contracts.atomic_file import atomic_file
from src.contracts.errors import TableError
from src.pipelines.latest_embeddings import latest_embeddings

__all__ = ["OnlineEmbeddings", "write_online_embeddings"]

_FORMAT = 1
_AT_ONCE = 500
"""Ids in one query; SQLite's limit is 999 in old builds."""


def write_online_embeddings(table: DeltaTable, file: Path, *, encoder_id: str, at: datetime | None = None) -> int:
    """Write the latest view to a file that answers look-ups by id.

    The file replaces an older one in one step; processes that have the older one open go on reading it.

    Args:
        table: see `open_embeddings`.
        file: to write.
        encoder_id: of one encoder.
        at: see `latest_embeddings`.

    Returns:
        Images in the file.

    Raises:
        TableError: see `latest_embeddings`.
    """
    with latest_embeddings(table, encoder_id=encoder_id, at=at) as rows, atomic_file(file) as temporary:
        with sqlite3.connect(temporary) as store:
            store.execute("PRAGMA journal_mode = OFF")
            store.execute("CREATE TABLE about (content TEXT NOT NULL)")
            store.execute(
                "CREATE TABLE embeddings (image_id TEXT NOT NULL, item_id TEXT NOT NULL, norm REAL NOT NULL,"
                " vector BLOB NOT NULL)"
            )
            dim = rows.schema.field("vector").type.byte_width // 2
            about = {"format": _FORMAT, "encoder_id": encoder_id, "dim": dim, "table_version": table.version()}
            store.execute("INSERT INTO about VALUES (?)", [json.dumps(about)])
            for batch in rows:
                columns = (batch[name].to_pylist() for name in ("image_id", "item_id", "norm", "vector"))
                store.executemany("INSERT INTO embeddings VALUES (?, ?, ?, ?)", zip(*columns, strict=True))
            # After the rows, which makes it sorted and small.
            store.execute("CREATE UNIQUE INDEX by_image_id ON embeddings (image_id)")
            (count,) = store.execute("SELECT count(*) FROM embeddings").fetchone()
        store.close()
    return int(count)


class OnlineEmbeddings:
    """Looks embeddings up by image id; for one thread.

    Attributes:
        encoder_id: the encoder of all of them.
        dim: dimension.
        table_version: version of the embeddings table that was written.
    """

    def __init__(self, file: Path, *, encoder_id: str) -> None:
        """Open a file that `write_online_embeddings` wrote.

        Args:
            file: to open.
            encoder_id: the encoder that the caller expects: embeddings of two encoders are never compared.

        Raises:
            TableError: the file is absent, is another file, or holds embeddings of another encoder.
        """
        if not file.is_file():
            raise TableError(f"{file}: no such file; `python -m src.pipelines.store online` writes it")
        # It never changes under its name, so that no locks are needed.
        self._store = sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True)
        try:
            about = json.loads(self._store.execute("SELECT content FROM about").fetchone()[0])
        except sqlite3.DatabaseError as error:
            self._store.close()
            raise TableError(f"{file}: is no file of online embeddings ({error})") from error
        self.encoder_id, self.dim, self.table_version = (about[name] for name in ("encoder_id", "dim", "table_version"))
        if self.encoder_id != encoder_id:
            self._store.close()
            raise TableError(f"{file}: holds embeddings of encoder {self.encoder_id!r}, not of {encoder_id!r}")

    def vectors(self, image_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Look vectors up.

        Args:
            image_ids: in any order; an id may repeat.

        Returns:
            float32 of shape (ids, dim), zero where there is none; and bool of shape (ids,), whether there is one.
        """
        found: dict[str, bytes] = {}
        for start in range(0, len(image_ids), _AT_ONCE):
            some = image_ids[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT image_id, vector FROM embeddings WHERE image_id IN ({marks})"  # noqa: S608
            found.update(self._store.execute(query, some))
        there = np.array([image in found for image in image_ids], bool)
        nothing = bytes(2 * self.dim)
        packed = b"".join(found.get(image, nothing) for image in image_ids)
        return np.frombuffer(packed, "<f2").reshape(len(image_ids), self.dim).astype(np.float32), there

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()
