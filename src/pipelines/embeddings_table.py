"""The embeddings table: append-only rows in a Delta Lake table, on disk or in an object store.

A row is the embedding of one image by one encoder. It holds since `event_at`, when the image became so, and is known
since `created_at`, when the row was appended. Nothing is overwritten: a new embedding, a correction or a deletion is a
further row.

Each append is one atomic commit: a reader sees all of its rows or none. It has an id, which Delta's log keeps with the
commit, so that an append that is tried again is not applied twice, also when two processes try at once.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from src.contracts.embedding_rows import EMBEDDING_ROWS, validate_embeddings
from src.contracts.errors import TableError

__all__ = ["Lineage", "append_embeddings", "embedding_rows", "embedding_runs", "open_embeddings"]

STORED = EMBEDDING_ROWS.append(pa.field("batch_id", pa.string(), nullable=False))
"""The stored columns; `batch_id` names the append that a row came with."""

_CONFIGURATION = {
    # The log is the record of where rows came from (`embedding_runs`).
    "delta.enableExpiredLogCleanup": "false",
    # An append that is tried again later than this is applied again.
    "delta.setTransactionRetentionDuration": "interval 90 days",
    "delta.deletedFileRetentionDuration": "interval 168 hours",
    # Vectors have no useful smallest and largest value.
    "delta.dataSkippingStatsColumns": "image_id,encoder_id,event_at,created_at,deleted,batch_id",
}
_ATTEMPTS = 100
"""Tries of a commit against other writers; each lost try means that another writer's commit succeeded."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where the rows of an append come from. It is stored with the commit.

    Attributes:
        run_id: of the run that made the rows.
        bundle_id: of the bundle whose encoder made them; None where there is none.
        source: the table or manifest of images that was read.
        source_version: its version or digest; None where it has none.
    """

    run_id: str
    bundle_id: str | None
    source: str
    source_version: str | None


def open_embeddings(
    uri: str | Path, *, version: int | None = None, storage_options: dict[str, str] | None = None
) -> DeltaTable:
    """Open the table as it is now, or as it was.

    Args:
        uri: folder, or an address such as `s3://bucket/path`.
        version: number of the commit; None for the newest.
        storage_options: of the object store; by default they are taken from the environment (`AWS_...`).

    Raises:
        TableError: there is no such table or version.
    """
    try:
        return DeltaTable(str(uri), version=version, storage_options=storage_options)
    except TableNotFoundError as error:
        raise TableError(f"{uri}: no embeddings table there; the first append makes it") from error
    except DeltaError as error:
        at = "" if version is None else f" at version {version}"
        raise TableError(f"{uri}{at}: cannot be opened as a Delta table: {str(error).splitlines()[0]}") from error


def append_embeddings(
    uri: str | Path,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    batch_id: str,
    lineage: Lineage,
    storage_options: dict[str, str] | None = None,
) -> bool:
    """Append rows in one commit, once.

    Several processes may append at once. The table is made by the first append.

    Args:
        uri: see `open_embeddings`.
        rows: see `validate_embeddings`; a reader is checked batch by batch as it is written. Leave `created_at` out
            unless rows of an older system are brought over: a row is known when it is appended, not when it is made.
        batch_id: names this append, for instance run and shard; the same id is applied once, whatever the rows.
        lineage: where the rows come from.
        storage_options: see `open_embeddings`.

    Returns:
        Whether the rows were appended now; False where this id had been appended before.

    Raises:
        TableError: see `validate_embeddings`; nothing is appended then.
    """
    _create_if_absent(str(uri), storage_options)
    table = open_embeddings(uri, storage_options=storage_options)
    if table.transaction_version(batch_id) is not None:
        return False
    properties = CommitProperties(
        custom_metadata={
            "batch_id": batch_id,
            **{key: value for key, value in asdict(lineage).items() if value is not None},
        },
        max_commit_retries=_ATTEMPTS,
        app_transactions=[Transaction(batch_id, 1)],
    )
    checked = _Checked(rows, batch_id)
    try:
        # On the opened version: the commit fails if another one with this id comes between.
        write_deltalake(table, checked.reader(), mode="append", commit_properties=properties)
    except CommitFailedError:
        if open_embeddings(uri, storage_options=storage_options).transaction_version(batch_id) is None:
            raise
        return False
    except DeltaError as error:
        if checked.error is not None:
            raise checked.error from error
        raise
    return True


def embedding_rows(
    table: DeltaTable,
    *,
    encoder_id: str | None = None,
    columns: list[str] | None = None,
    where: ds.Expression | None = None,
) -> pa.RecordBatchReader:
    """All rows of the table, older ones and tombstones as well, in no particular order.

    Args:
        table: see `open_embeddings`.
        encoder_id: of one encoder only; None for all.
        columns: names of columns; None for all.
        where: which rows; None for all.

    Returns:
        A stream; `vector` is binary, empty in tombstones.
    """
    if encoder_id is not None:
        of_encoder = pc.field("encoder_id") == encoder_id
        where = of_encoder if where is None else where & of_encoder
    return table.to_pyarrow_dataset().scanner(columns=columns, filter=where).to_reader()


def embedding_runs(table: DeltaTable, *, batch_id: str | None = None) -> list[dict[str, Any]]:
    """Where rows came from, from the newest append to the oldest.

    Args:
        table: see `open_embeddings`.
        batch_id: of one append only; None for all.

    Returns:
        A dictionary an append: `version` and `committed_at` of the commit, `batch_id`, the fields of `Lineage`, `rows`.
    """
    runs = []
    for commit in table.history():
        if "batch_id" not in commit or batch_id not in (None, commit["batch_id"]):
            continue
        run = {name: commit.get(name) for name in ("batch_id", *Lineage.__dataclass_fields__)}
        committed = datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)
        rows = commit["operationMetrics"]["num_added_rows"]
        runs.append({"version": commit["version"], "committed_at": committed, **run, "rows": rows})
    return runs


def _create_if_absent(uri: str, storage_options: dict[str, str] | None) -> None:
    if DeltaTable.is_deltatable(uri, storage_options):
        return
    with suppress(CommitFailedError):  # Another process has just made it.
        DeltaTable.create(
            uri,
            STORED,
            mode="ignore",
            configuration=_CONFIGURATION,
            storage_options=storage_options,
            # A retry would make it a second time, and fail the appends between.
            commit_properties=CommitProperties(max_commit_retries=0),
        )


class _Checked:
    """Rows that are checked while Delta's writer reads them.

    Attributes:
        error: what was wrong; the writer only passes on its text.
    """

    def __init__(self, rows: pa.Table | pa.RecordBatchReader, batch_id: str) -> None:
        self.error: TableError | None = None
        self._batch_id, self._now = batch_id, datetime.now(UTC)
        if isinstance(rows, pa.Table):  # Checked as one: an image that is there twice may stand in two of its batches.
            self._tables: Iterator[pa.Table] = iter([self._check(rows)])
        else:
            self._tables = (self._check(pa.Table.from_batches([batch])) for batch in rows)

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(STORED, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for table in self._tables:
                yield from table.to_batches()
        except TableError as error:
            self.error = error
            raise

    def _check(self, table: pa.Table) -> pa.Table:
        checked = validate_embeddings(table, now=self._now)
        return checked.append_column(STORED.field("batch_id"), pa.array([self._batch_id] * len(checked), pa.string()))
