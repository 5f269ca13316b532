"""Commits of several tables at once: each is applied to all of them, whenever the process dies, and once.

What a commit holds is written to a small file first. The next run finds it, applies what is not applied yet, and goes
on. Delta Lake's log keeps the number of the last commit of each table.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction
from fsspec.implementations.local import LocalFileSystem

from src.contracts.errors import LookalikeError
from src.pipelines.batch_tables import EMBEDDINGS, FILES, NEW_EMBEDDINGS, SCHEMAS, open_table
from src.pipelines.embeddings_table import Lineage, append_embeddings
from src.pipelines.job import WORK, WrittenFile, joined

__all__ = ["Commits"]

_WRITER = "batch"
_KEPT_S = 2 * 24 * 3600


class Commits:
    """The commits of one output folder."""

    def __init__(self, output: str) -> None:
        """Open the tables, make those that are not there, and finish a commit that a killed run began."""
        self._output = output
        self._files, self._work_path = fsspec.core.url_to_fs(joined(output, WORK))
        self._files.makedirs(self._work_path, exist_ok=True)
        for name in SCHEMAS:
            open_table(output, name)
        self._clear()
        for path in sorted(self._files.glob(f"{self._work_path}/commit-*.json")):
            self._finish(path)
        self._next = (self._applied(open_table(output, FILES)) or 0) + 1

    def _clear(self) -> None:
        """Remove what runs that were killed days ago left."""
        self._files.invalidate_cache()
        # An object store has no empty folders.
        for folder in self._files.ls(self._work_path, detail=False) if self._files.exists(self._work_path) else ():
            begun = folder.rstrip("/").rpartition("/")[2].partition("-")[0]
            if begun.isdigit() and int(begun) < time.time() - _KEPT_S:
                self._files.rm(folder, recursive=True)

    def commit(self, written: Mapping[str, Sequence[WrittenFile]], lineage: Lineage) -> None:
        """Add files to their tables.

        Args:
            written: by table; the rows of embeddings are appended to theirs.
            lineage: of the embeddings.

        Raises:
            LookalikeError: another run commits to the same tables.
        """
        files = {table: [asdict(file) for file in given] for table, given in written.items() if given}
        number = self._next
        path = f"{self._work_path}/commit-{number:08d}.json"
        content = {"number": number, "files": files, "lineage": asdict(lineage)}
        try:
            self._create(path, json.dumps(content).encode())
        except FileExistsError:
            raise self._taken() from None
        if (self._applied(open_table(self._output, FILES)) or 0) >= number:
            self._files.rm_file(path)
            raise self._taken()
        self._finish(path)
        self._next += 1

    def _create(self, path: str, content: bytes) -> None:
        """Write a file; raises `FileExistsError` where there is one, also where another process makes it just now."""
        if not isinstance(self._files, LocalFileSystem):
            self._files.pipe_file(path, content, mode="create")
            return
        # fsspec looks first and writes then.
        with Path(path).open("xb") as file:
            file.write(content)

    def _finish(self, path: str) -> None:
        try:
            content = json.loads(self._files.cat_file(path))
        except ValueError:  # killed while it was written: nothing of it is applied
            self._files.rm_file(path)
            return
        files = {table: [WrittenFile(**file) for file in given] for table, given in content["files"].items()}
        for table in SCHEMAS:
            if table in files:
                self._add(table, files[table], content["number"])
        self._append(files.get(EMBEDDINGS, []), content)
        with suppress(FileNotFoundError):
            self._files.rm_file(path)

    def _add(self, name: str, files: Sequence[WrittenFile], number: int) -> None:
        table = open_table(self._output, name)
        if (self._applied(table) or 0) >= number:
            return
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(file.path, file.size, {}, now, True, json.dumps({"numRecords": file.rows})) for file in files
        ]
        properties = CommitProperties(app_transactions=[Transaction(_WRITER, number)])
        try:
            table.create_write_transaction(actions, "append", table.schema(), commit_properties=properties)
        except CommitFailedError:
            if (self._applied(open_table(self._output, name)) or 0) < number:
                raise self._taken() from None

    def _append(self, parts: Sequence[WrittenFile], content: Mapping[str, Any]) -> None:
        paths = [fsspec.core.url_to_fs(part.path)[1] for part in parts]
        if not paths:
            return
        # Gone where all was applied and only the commit's own file was left.
        if all(self._files.exists(path) for path in paths):
            rows = pa.RecordBatchReader.from_batches(NEW_EMBEDDINGS, self._rows(paths))
            append_embeddings(
                joined(self._output, EMBEDDINGS),
                rows,
                batch_id=f"{_WRITER}-{content['number']}",
                lineage=Lineage(**content["lineage"]),
            )
        for path in paths:
            with suppress(FileNotFoundError):
                self._files.rm_file(path)

    def _rows(self, paths: Sequence[str]) -> Any:
        for path in paths:
            with self._files.open(path, "rb") as file:
                yield from pq.ParquetFile(file).iter_batches()

    @staticmethod
    def _applied(table: DeltaTable) -> int | None:
        return table.transaction_version(_WRITER)

    def _taken(self) -> LookalikeError:
        return LookalikeError(
            f"`output={self._output}`: another run commits to these tables; let it end, then start this one again"
        )
