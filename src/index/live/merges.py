"""When merges run, one at a time, and how they ended."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from src.contracts.errors import LookalikeError
from src.index.live.generation import Generation
from src.index.live.merge import MergeReport

__all__ = ["Merges"]

_LOGGER = logging.getLogger(__name__)
_FULL = 4
"""Deltas of so many times `merge_rows` make upserts wait for the merge."""

_SHARE, _LEAST = 4, 500
"""A merge costs as the main index is long: of a short one, a quarter as many changes are worth it, but no fewer than
this. Each row is then written anew at most about five times while the index grows."""


class Merges:
    """Starts a merge in the background when it is due, and holds upserts up when merges can't keep pace.

    Args:
        folder: the live index's, for messages.
        merge_rows: see `LiveSettings`.
        main_rows: counts the main index's rows.
        unmerged: counts the delta's rows and the main index's dead.
        build: makes the next generation and moves the index to it.
    """

    def __init__(
        self,
        folder: Path,
        merge_rows: int,
        *,
        main_rows: Callable[[], int],
        unmerged: Callable[[], int],
        build: Callable[[], Generation],
    ) -> None:
        self.reports: list[MergeReport] = []
        self._folder = folder
        self._merge_rows = merge_rows
        self._failed_at = 0
        self._main_rows = main_rows
        self._unmerged = unmerged
        self._build = build
        self._running = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether a merge runs."""
        return self._running.locked()

    def merge(self) -> MergeReport:
        """Merge now; waits for one that runs already.

        Raises:
            GateError: the new index finds too little.
            LookalikeError: it could not be written.
        """
        with self._running:
            return self._merge()

    def _merge(self) -> MergeReport:
        start = time.perf_counter()
        try:
            generation = self._build()
        except Exception as error:
            # Of any kind, or changes would pile up unseen: FAISS reports a full disk as RuntimeError, and building the
            # next index beside the old one is where memory runs out.
            known = error if isinstance(error, LookalikeError) else None
            failure = known or LookalikeError(f"{self._folder}: the merge failed: {type(error).__name__}: {error}")
            self.reports.append(MergeReport(0, time.perf_counter() - start, 0.0, str(failure)))
            self._failed_at = self._unmerged()
            raise failure from (None if known else error)
        self._failed_at = 0
        facts = generation.facts
        self.reports.append(MergeReport(facts.rows, time.perf_counter() - start, facts.recall_at_10))
        return self.reports[-1]

    def start_if_due(self) -> None:
        """Start a merge in the background when enough has come together and none runs."""
        if not self._due():
            return
        with self._starting:
            if self._stopped or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._in_background, name="live-index-merge")
            self._thread.start()

    def _due(self) -> bool:
        enough = min(self._merge_rows, max(_LEAST, self._main_rows() // _SHARE))
        return self._merge_rows > 0 and self._unmerged() >= self._failed_at + enough

    def wait(self) -> None:
        """Return when no background merge runs."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def wait_for_room(self) -> None:
        """Return when the delta may grow.

        Raises:
            LookalikeError: it is full, and the last merge was abandoned.
        """
        while self._merge_rows and self._unmerged() >= _FULL * self._merge_rows:
            thread = self._thread
            if thread is not None and thread.is_alive():
                thread.join()
            elif self.reports and self.reports[-1].abandoned:
                raise LookalikeError(
                    f"{self._folder}: {self._unmerged()} changes are not merged, and the last merge was abandoned: "
                    f"{self.reports[-1].abandoned}. Once that is put right, call merge()"
                )
            else:
                return

    def stop(self) -> None:
        """Wait for what runs, and start nothing more."""
        with self._starting:
            self._stopped = True
        self.wait()
        # One that was called for by `merge` ends as well.
        with self._running:
            pass

    def _in_background(self) -> None:
        try:
            with self._running:
                # One that `merge` was called for may have done it meanwhile.
                if self._due():
                    self._merge()
        except LookalikeError as error:
            _LOGGER.warning("%s: merge abandoned: %s", self._folder, error, exc_info=error.__cause__)
