"""What a service does with the queries that it saw: count them, and at a window's end compare and write it."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.contracts.bundle import DRIFT_REFERENCE, Bundle
from src.contracts.drift_reference import input_statistics, read_drift_reference
from src.contracts.errors import LookalikeError
from src.export.runtime import EncoderRuntime
from src.monitoring.drift.canary import check_canary
from src.monitoring.drift.comparison import MONTH, Comparison, compare
from src.monitoring.drift.diagnosis import diagnose
from src.monitoring.drift.examples import small_photo
from src.monitoring.drift.folder import BASELINE, read_window, write_window
from src.monitoring.drift.seen import Seen
from src.monitoring.drift.window import Window

__all__ = ["Recorder", "open_recorder"]

_log = logging.getLogger(__name__)


class Recorder:
    """Fills one window after the other. One thread at a time may call it."""

    def __init__(
        self,
        bundle: Bundle,
        encoder: EncoderRuntime,
        folder: Path,
        *,
        seconds: float,
        processes: int = 1,
        photos: bool = False,
    ) -> None:
        """Begin a window.

        Args:
            bundle: what is served.
            encoder: what embeds; the golden images are embedded with it at each window's end.
            folder: where windows are written; its `baseline.window`, if there is one, is what they are compared with.
            seconds: of a window.
            processes: that compare windows of their own: the budget of false alarms is divided among them.
            photos: whether windows keep small photos as examples.

        Raises:
            LookalikeError: the bundle's drift reference cannot be read, or the baseline is of another bundle.
        """
        self._bundle, self._encoder, self._folder, self._photos = bundle, encoder, folder, photos
        self._reference = read_drift_reference(bundle.path(DRIFT_REFERENCE))
        self._per_month = processes * MONTH / seconds
        self._baseline = read_window(folder / BASELINE) if (folder / BASELINE).exists() else None
        self._window = Window.empty(self._reference)
        # A baseline of another bundle is noticed now, not at the first window's end.
        compare(self._window, self._reference, windows_per_month=self._per_month, baseline=self._baseline)

    def add(self, seen: Sequence[Seen]) -> None:
        """Count queries; at least one."""
        self._window.add(
            np.stack([one.vector for one in seen]),
            np.array([one.norm for one in seen], np.float32),
            np.array([one.score for one in seen], np.float32),
            input_statistics(np.stack([one.pixels for one in seen]), np.array([one.size for one in seen])),
            categories=[one.category for one in seen],
            ids=[one.request_id for one in seen],
            photos=[small_photo(one.pixels) for one in seen] if self._photos else None,
            at=time.time(),
        )

    def finish(self, *, dropped: int = 0) -> tuple[Window, Comparison, str] | None:
        """End the window: embed the golden images, compare, write, and begin the next one.

        Args:
            dropped: queries of its time that were not counted.

        Returns:
            The window, what was found, and the verdict in words; None where nothing was asked.
        """
        window, self._window = self._window, Window.empty(self._reference)
        if not window.images:
            return None
        window.dropped = dropped
        window.canary = check_canary(self._bundle, self._encoder)
        found = compare(window, self._reference, windows_per_month=self._per_month, baseline=self._baseline)
        write_window(self._folder, window)
        return window, found, diagnose(window, found, self._reference).verdict


def open_recorder(
    bundle: Bundle, encoder: EncoderRuntime, folder: Path, *, minutes: float, processes: int, photos: bool
) -> Recorder | None:
    """A recorder of windows of so many minutes; None for a bundle that cannot be watched, and the log says why."""
    try:
        return Recorder(bundle, encoder, folder, seconds=60 * minutes, processes=processes, photos=photos)
    except LookalikeError as error:
        _log.warning("drift is not watched: %s", error)
        return None
