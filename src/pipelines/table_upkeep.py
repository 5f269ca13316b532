"""Upkeep of the embeddings table: small files made large, rows that no join needs removed, unused files deleted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError

from src.contracts.errors import TableError

__all__ = ["compact", "delete_unused_files", "remove_superseded"]

_SHORTEST = timedelta(days=7)
"""Files younger than this may belong to an append or a reader that is still at work."""

_ATTEMPTS = 5

_SUPERSEDED = """
SELECT DISTINCT image_id, encoder_id, event_at, created_at, version FROM (
    SELECT *, rank() OVER (
        PARTITION BY image_id, encoder_id
        ORDER BY coalesce(event_at, created_at) DESC, created_at DESC, version DESC NULLS LAST
    ) AS place
    FROM embeddings WHERE created_at <= $since AND coalesce(event_at, created_at) <= $since
) WHERE place > 1
"""


def compact(table: DeltaTable, *, target_bytes: int = 256 * 2**20) -> dict[str, Any]:
    """Rewrite small files as large ones. Rows stay as they are; appends and readers may go on meanwhile.

    Args:
        table: see `open_embeddings`.
        target_bytes: of a file.

    Returns:
        What Delta counted, for instance `numFilesAdded` and `numFilesRemoved`.
    """
    return table.optimize.compact(target_size=target_bytes)


def remove_superseded(table: DeltaTable, *, since: datetime) -> int:
    """Remove the rows that no look-up at `since` or later can return.

    Of each image and encoder these are the rows that were known and held by `since`, all but the latest of them. A
    tombstone that is the latest stays, because a row of an older event may still arrive. Look-ups at times before
    `since`, and joins with `as_of` before it, are no longer right.

    Args:
        table: see `open_embeddings`; it is at the new version afterwards.
        since: the earliest time of a label that is still joined, with a time zone; not in the future.

    Returns:
        Rows removed. Older versions of the table have them until `delete_unused_files`.

    Raises:
        TableError: `since` is in the future.
        CommitFailedError: other writers came between five times.
    """
    if since > datetime.now(UTC):
        raise TableError(f"since={since.isoformat()}: is in the future; rows that are still to come may decide")
    for attempt in range(_ATTEMPTS):
        try:
            return _remove(table, since)
        except CommitFailedError:  # Another writer came between: its rows are looked at as well.
            if attempt == _ATTEMPTS - 1:
                raise
            table.update_incremental()
    raise AssertionError("unreachable")


def _remove(table: DeltaTable, since: datetime) -> int:
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("embeddings", table.to_pyarrow_dataset())
        superseded = engine.sql(_SUPERSEDED, params={"since": since}).to_arrow_table()
    if not superseded.num_rows:
        return 0
    same = [f"rows.{name} = superseded.{name}" for name in ("image_id", "encoder_id", "created_at", "version")]
    merge = table.merge(
        superseded,
        " AND ".join([*same, "rows.event_at IS NOT DISTINCT FROM superseded.event_at"]),
        source_alias="superseded",
        target_alias="rows",
        commit_properties=CommitProperties(custom_metadata={"removed_superseded_since": since.isoformat()}),
    )
    return int(merge.when_matched_delete().execute()["num_target_rows_deleted"])


def delete_unused_files(table: DeltaTable, *, keep: timedelta = timedelta(days=30)) -> list[str]:
    """Delete the files that no version of the last `keep` needs, and what killed writers left.

    Args:
        table: see `open_embeddings`.
        keep: versions that are older can no longer be read; at least seven days.

    Returns:
        The deleted files' names.

    Raises:
        TableError: `keep` is shorter than seven days.
    """
    if keep < _SHORTEST:
        raise TableError(
            f"keep={keep}: at least {_SHORTEST.days} days, because younger files may belong to an append at work"
        )
    return table.vacuum(retention_hours=int(keep.total_seconds() // 3600), dry_run=False, full=True)
