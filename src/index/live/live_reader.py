"""Searching a live index from processes other than its writer's."""

import threading
import time
from pathlib import Path

from src.contracts.errors import BundleError
from src.index.live.generation import current_generation
from src.index.live.log import segment_path
from src.index.live.recovery import LogPlace, open_current, replay
from src.index.live.snapshot import Snapshot
from src.index.live.state import LiveState

__all__ = ["LiveReader"]


class LiveReader:
    """Follows a live index's files and writes nothing; any number of readers beside one writer.

    It sees what stood in the files at the last `refresh`, each change wholly or not at all, and in the writer's order.
    A change is in the file a moment before the writer has synced it and returned: should the machine, not just the
    writer, die in that moment, a reader may have shown what recovery then does not have.

    Attributes:
        lag_ms: age of the newest change when it was read, by the two processes' clocks; 0 before the first.
    """

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        """Open a live index for reading.

        Args:
            folder: what `LiveIndex.create` made.
            verify: read the whole main index to compare its hashes, now and after each merge.

        Raises:
            BundleError: no live index, or a damaged one.
        """
        self._folder = folder
        self._verify = verify
        self._refreshing = threading.Lock()
        self.lag_ms = 0.0
        self._reload()

    def snapshot(self) -> Snapshot:
        """The index as it was at the last refresh."""
        return self._state.snapshot

    def refresh(self) -> int:
        """Read what the writer has added, at the cost of that; after a merge the new main index is opened.

        Returns:
            The sequence number of the newest change.

        Raises:
            BundleError: the files are damaged; the snapshot stays what it was.
        """
        with self._refreshing:
            if current_generation(self._folder)[0] != self._state.generation.facts.number or self._was_undone():
                self._reload()
                return self._state.sequence
            try:
                self._follow(self._state, self._place)
            except BundleError:
                # A merge may have removed a segment before it was read to its end; if not, this fails as well.
                self._reload()
            return self._state.sequence

    def _follow(self, state: LiveState, place: LogPlace) -> None:
        before = state.sequence
        self._place = replay(self._folder, state, place)
        if self._place.last is not None and state.sequence > before:
            self.lag_ms = (time.time_ns() - self._place.last.written_ns) / 1e6

    def _reload(self) -> None:
        while True:
            state = LiveState(open_current(self._folder, verify=self._verify))
            try:
                self._follow(state, LogPlace(state.generation.facts.first_segment))
            except BundleError:
                if current_generation(self._folder)[0] == state.generation.facts.number:
                    raise
                continue
            self._state = state
            return

    def _was_undone(self) -> bool:
        """Whether the last frame that was read is gone: a write that failed and was taken back."""
        last = self._place.last
        if last is None:
            return False
        try:
            with segment_path(self._folder, self._place.segment).open("rb") as file:
                file.seek(last.end - len(last.payload) - len(last.header))
                return file.read(len(last.header)) != last.header
        except FileNotFoundError:
            return True
