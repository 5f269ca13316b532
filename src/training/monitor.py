"""The value of validation by which a training is steered."""

from typing import NamedTuple

__all__ = ["MONITOR", "Monitor"]


class Monitor(NamedTuple):
    """Chooses the checkpoint, ends training, steps a plateau schedule.

    Attributes:
        name: as it is logged, `val/NAME`.
        mode: `max` where a larger value is better, else `min`.
    """

    name: str
    mode: str


MONITOR = Monitor("val/recall@1", "max")
"""What steers where nothing else is chosen."""
