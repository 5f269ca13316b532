"""Changes that arrive while one is being synced share the next sync."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from src.contracts.errors import LookalikeError
from src.index.live.changes import Change

__all__ = ["GroupCommit"]


@dataclass
class _Waiting:
    change: Change
    called: float = field(default_factory=time.perf_counter)
    sequence: int | None = None
    error: BaseException | None = None


class GroupCommit:
    """Threads queue their changes; whichever has the lock next commits all that are queued.

    Args:
        commit: makes changes durable and visible, together, and returns their sequence number; called under `lock`.
        lock: whoever holds it is the writer.
        on_visible: told the seconds from call to visibility of each change.
    """

    def __init__(
        self, commit: Callable[[Sequence[Change]], int], lock: threading.RLock, on_visible: Callable[[float], None]
    ) -> None:
        self._commit = commit
        self._lock = lock
        self._on_visible = on_visible
        self._queue: list[_Waiting] = []
        self._queue_lock = threading.Lock()

    def submit(self, change: Change) -> int:
        """Return once the change is durable and visible.

        Raises:
            Exception: what `commit` raised for the group that the change was in; the change was not made.
        """
        waiting = _Waiting(change)
        with self._queue_lock:
            self._queue.append(waiting)
        with self._lock:
            if waiting.sequence is None and waiting.error is None:
                self._commit_queue()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.sequence is not None
        return waiting.sequence

    def _commit_queue(self) -> None:
        with self._queue_lock:
            group, self._queue = self._queue, []
        try:
            sequence = self._commit([waiting.change for waiting in group])
        except BaseException as error:
            interrupted = not isinstance(error, Exception)
            for waiting in group:
                waiting.error = LookalikeError("interrupted while it was written") if interrupted else error
            if interrupted:
                raise
            return
        now = time.perf_counter()
        for waiting in group:
            waiting.sequence = sequence
            self._on_visible(now - waiting.called)
