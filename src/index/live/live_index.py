"""The index that takes upserts and deletes while it is searched: its one writer, and readers beside it."""

import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from src.contracts.errors import LookalikeError, TableError
from src.index.filters import Condition
from src.index.live.changes import Change, DeleteImages, DeleteItems, checked_keys, encode_changes, make_upsert
from src.index.live.creation import create_folder
from src.index.live.durable import sync_folder
from src.index.live.generation import (
    Generation,
    current_generation,
    publish,
    remove_leftovers,
)
from src.index.live.group_commit import GroupCommit
from src.index.live.log import LogWriter, log_bytes, segment_path
from src.index.live.merge import MergeReport, merge_snapshot
from src.index.live.merges import Merges
from src.index.live.metrics import LiveMetrics, RecentTimes
from src.index.live.recovery import LogPlace, open_current, replay
from src.index.live.settings import LiveSettings
from src.index.live.snapshot import Snapshot
from src.index.live.state import LiveState
from src.index.live.writer_lock import WriterLock

__all__ = ["LiveIndex"]

_LOGGER = logging.getLogger(__name__)
_MOST_BYTES = 1 << 30
"""Of vectors in one upsert: a frame of the log counts its bytes in 32 bits, and holds what several threads send."""


class LiveIndex:
    """A live index, open for writing. Any number of threads may search and change it.

    `upsert` and `delete` return when the change is on the disk and visible to every later search: a process that is
    killed at any moment loses nothing that was returned from. See docs/index.md, "Live updates".
    """

    def __init__(self, folder: Path, lock: WriterLock, state: LiveState, log: LogWriter, segment: int) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self._lock = lock
        self._state = state
        self._log = log
        self._segment = segment
        self._process = os.getpid()
        self._closed = False
        self._released = False
        self._behind = False
        self._writing = threading.RLock()
        self._lag = RecentTimes()
        self._group = GroupCommit(self._commit, self._writing, self._lag.add)
        merge_rows = state.generation.facts.settings.merge_rows
        self._merges = Merges(
            folder,
            merge_rows,
            main_rows=lambda: self.snapshot().main_rows,
            unmerged=self._unmerged,
            build=self._build_next,
        )

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        image_ids: Sequence[str],
        item_ids: Sequence[str],
        vectors: np.ndarray,
        attributes: Mapping[str, pa.Array] | None = None,
        settings: LiveSettings | None = None,
    ) -> "LiveIndex":
        """Make a live index.

        Args:
            folder: new, or empty of a live index.
            image_ids: n keys, each once.
            item_ids: n items.
            vectors: float32 array of shape (n, dim), L2-normalised; n may be 0.
            attributes: Arrow arrays of n values that filters can use; their names and types hold for all later rows.
            settings: how it is kept.

        Raises:
            ConfigError: the folder holds a live index already.
            TableError: rows that do not fit together.
            GateError: the index finds less than `settings.min_recall`.
        """
        create_folder(folder, image_ids, item_ids, vectors, attributes or {}, settings or LiveSettings())
        return cls.open(folder, verify=False)

    @classmethod
    def open(cls, folder: Path, *, verify: bool = True) -> "LiveIndex":
        """Open a live index for writing; what a killed writer left is recovered.

        Args:
            folder: what `create` made.
            verify: read the whole main index to compare its hashes.

        Raises:
            BundleError: no live index, or a damaged one; says where, and what to do.
            LookalikeError: another writer has it open.
        """
        if not folder.is_dir():
            raise LookalikeError(f"{folder}: no such folder; make a live index with LiveIndex.create")
        lock = WriterLock(folder)
        try:
            generation = open_current(folder, verify=verify)
            state = LiveState(generation)
            place = replay(folder, state, LogPlace(generation.facts.first_segment))
            # Opening the log cuts what a killed writer did not finish, and syncs what it did not.
            log = LogWriter(segment_path(folder, place.segment), place.offset)
            remove_leftovers(folder, generation.facts)
        except BaseException:
            lock.release()
            raise
        return cls(folder, lock, state, log, place.segment)

    def snapshot(self) -> Snapshot:
        """The index as it is now, for as long as the caller keeps it."""
        return self._state.snapshot

    def search(
        self, vectors: np.ndarray, k: int, conditions: Iterable[Condition] = ()
    ) -> tuple[np.ndarray, list[list[str | None]]]:
        """The k nearest images of each query.

        Args:
            vectors: float32 array of shape (queries, dim), L2-normalised.
            k: images wanted.
            conditions: on `item_id` and the attributes; only images that meet all of them are found.

        Returns:
            Cosine similarities, float32 of shape (queries, k), and the image_ids; -inf and
            None where there are no more.
        """
        snapshot = self.snapshot()
        scores, rows = snapshot.search(vectors, k, snapshot.mask(conditions))
        return scores, [snapshot.image_ids(found) for found in rows]

    def upsert(
        self,
        image_ids: Sequence[str],
        item_ids: Sequence[str],
        vectors: np.ndarray,
        attributes: Mapping[str, Sequence[Any]] | None = None,
    ) -> int:
        """Add images, or replace those whose image_id is known; all of them at once.

        Args:
            image_ids: n keys; of one that stands twice, the later row counts.
            item_ids: n items.
            vectors: float32 array of shape (n, dim), L2-normalised.
            attributes: columns of n values; what is left out is null, also where the image had a value before.

        Returns:
            The change's sequence number: a snapshot whose `sequence` is at least that has it.

        Raises:
            TableError: rows that do not fit the index.
            LookalikeError: the disk is full, or the delta is; nothing was changed.
        """
        change = make_upsert(self._state.schema, self._state.dim, image_ids, item_ids, vectors, attributes)
        if change.vectors.nbytes > _MOST_BYTES:
            raise TableError(f"{change.vectors.nbytes} bytes of vectors in one upsert; send at most {_MOST_BYTES}")
        self._check_usable()
        self._merges.wait_for_room()
        return self._submit(change, len(image_ids))

    def delete(self, image_ids: Sequence[str]) -> int:
        """Make images unfindable; unknown ones are no error. Returns as `upsert` does."""
        return self._submit(DeleteImages(checked_keys(image_ids)), len(image_ids))

    def delete_items(self, item_ids: Sequence[str]) -> int:
        """Make all images of items unfindable; unknown ones are no error. Returns as `upsert` does."""
        return self._submit(DeleteItems(checked_keys(item_ids)), len(item_ids))

    def merge(self) -> MergeReport:
        """Merge now, and wait for it; at most one merge runs at a time.

        Raises:
            GateError: the merged index finds too little and was not taken; everything goes on as before.
            LookalikeError: it could not be written, for instance to a full disk; everything goes on as before.
        """
        self._check_usable()
        return self._merges.merge()

    def wait_for_merge(self) -> None:
        """Return when no merge is running."""
        self._merges.wait()

    def metrics(self) -> LiveMetrics:
        """How the index is doing."""
        snapshot = self.snapshot()
        reports = list(self._merges.reports)
        taken = sum(not report.abandoned for report in reports)
        return LiveMetrics(
            rows=int(np.count_nonzero(snapshot.alive)),
            main_rows=snapshot.main_rows,
            delta_rows=len(snapshot) - snapshot.main_rows,
            tombstones=snapshot.main_dead,
            sequence=snapshot.sequence,
            generation=snapshot.generation.facts.number,
            log_bytes=log_bytes(self.folder),
            lag_p50_ms=self._lag.percentile_ms(50),
            lag_p99_ms=self._lag.percentile_ms(99),
            merges=taken,
            merges_failed=len(reports) - taken,
            merging=int(self._merges.running),
            merge_seconds=reports[-1].seconds if reports else 0.0,
            merge_recall_at_10=snapshot.generation.facts.recall_at_10,
            merge_problem=reports[-1].abandoned if reports else "",
        )

    def close(self) -> None:
        """Wait for a running merge and let another writer in. Snapshots stay usable."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
        self._merges.stop()
        with self._writing:
            self._released = True
            self._log.close()
            self._lock.release()

    def __enter__(self) -> "LiveIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise LookalikeError(f"{self.folder}: this index was closed; open it again")
        if os.getpid() != self._process:
            raise LookalikeError(
                f"{self.folder}: opened before a fork; start processes by `spawn`, and read there with LiveReader"
            )

    def _check_in_step(self) -> None:
        """To be asked by whoever has the lock: while another thread writes, memory is behind the log for a moment."""
        if self._behind:
            raise LookalikeError(f"{self.folder}: interrupted between log and memory; close it and open it again")

    def _submit(self, change: Change, rows: int) -> int:
        self._check_usable()
        if not rows:
            return self._state.sequence
        sequence = self._group.submit(change)
        self._merges.start_if_due()
        return sequence

    def _commit(self, changes: Sequence[Change]) -> int:
        self._check_usable()
        self._check_in_step()
        sequence = self._state.sequence + 1
        self._log.append(sequence, encode_changes(changes))
        self._behind = True
        self._state.apply(sequence, changes)
        self._behind = False
        return sequence

    def _unmerged(self) -> int:
        snapshot = self.snapshot()
        return len(snapshot) - snapshot.main_rows + snapshot.main_dead

    def _build_next(self) -> Generation:
        with self._writing:
            if self._released:
                raise LookalikeError(f"{self.folder}: this index was closed; open it again")
            self._check_in_step()
            merged = self._state.snapshot
            if current_generation(self.folder)[0] != merged.generation.facts.number:
                # A merge was interrupted after its generation began to count: the next would remove that.
                raise LookalikeError(
                    f"{self.folder}: the last merge was interrupted; close the index and open it again"
                )
            self._rotate()
            segment = self._segment
        # What an earlier merge could not finish must not stand in the way.
        remove_leftovers(self.folder, merged.generation.facts)
        number = merged.generation.facts.number + 1
        generation = merge_snapshot(self.folder, merged, number=number, first_segment=segment)
        with self._writing:
            state = self._state.moved_to(generation, merged)
            try:
                publish(self.folder, number)
            except OSError:
                # Once renamed it counts, whatever failed after that.
                if current_generation(self.folder)[0] != number:
                    raise
            self._state = state
        try:
            remove_leftovers(self.folder, generation.facts)
        except OSError as error:
            _LOGGER.warning("%s: old files stay until the next merge: %s", self.folder, error)
        return generation

    def _rotate(self) -> None:
        # What could not be taken back must stay the log's end: behind another segment it would count.
        self._log.check_whole()
        log = LogWriter(segment_path(self.folder, self._segment + 1))
        sync_folder(self.folder)
        self._log.close()
        self._log, self._segment = log, self._segment + 1
