"""From the files to the state: open the generation that counts, then replay the log."""

from dataclasses import dataclass
from pathlib import Path

from src.contracts.errors import BundleError
from src.index.live.changes import decode_changes
from src.index.live.generation import Generation, current_generation, generation_path
from src.index.live.log import Frame, read_frames, segment_path
from src.index.live.state import LiveState

__all__ = ["LogPlace", "open_current", "replay"]


@dataclass(frozen=True)
class LogPlace:
    """How far a log was read.

    Attributes:
        segment: number of the segment.
        offset: in it, behind the last whole frame.
        last: that frame; None at the beginning of a segment.
    """

    segment: int
    offset: int = 0
    last: Frame | None = None


def open_current(folder: Path, *, verify: bool) -> Generation:
    """The generation that counts.

    Raises:
        BundleError: no live index, or a damaged one.
    """
    while True:
        number, manifest = current_generation(folder)
        try:
            return Generation(generation_path(folder, number), manifest=manifest, verify=verify)
        except (FileNotFoundError, BundleError) as error:
            # A writer may have replaced and removed it since the number was read.
            if current_generation(folder)[0] != number:
                continue
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"{error.filename}: missing; restore the folder from a copy") from None


def replay(folder: Path, state: LiveState, place: LogPlace) -> LogPlace:
    """Apply all whole frames behind a place of the log.

    Args:
        folder: the live index's.
        state: is changed; holds everything up to `place`.
        place: where to go on.

    Returns:
        Where to go on the next time.

    Raises:
        BundleError: the log is damaged, or a part of it is missing.
    """
    while True:
        path = segment_path(folder, place.segment)
        # Asked before reading: once the next segment is there, nothing is added to this one.
        complete = segment_path(folder, place.segment + 1).exists()
        try:
            for frame in read_frames(path, place.offset):
                if frame.sequence != state.sequence + 1:
                    raise BundleError(
                        f"{path}: change {frame.sequence} follows {state.sequence} at byte {place.offset}: "
                        "a part of the log is missing; restore the folder from a copy"
                    )
                state.apply(frame.sequence, decode_changes(frame.payload, state.schema, state.dim))
                place = LogPlace(place.segment, frame.end, frame)
        except FileNotFoundError:
            raise BundleError(f"{path}: missing; restore the folder from a copy") from None
        if not complete:
            return place
        place = LogPlace(place.segment + 1)
