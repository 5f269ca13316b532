"""Finds objects in a photo: the protocol, and detectors by name."""

from importlib.metadata import entry_points
from typing import NamedTuple, Protocol

import numpy as np

from src.contracts.errors import ConfigError
from src.search.box import Box
from src.search.saliency import salient_boxes

__all__ = ["Detector", "Region", "open_detector"]

_PLUGINS = "lookalike.detectors"


class Region(NamedTuple):
    """Where an object may be.

    Attributes:
        box: around it.
        score: from 0 to 1, higher where it is more likely one; comparable within one detector only.
    """

    box: Box
    score: float


class Detector(Protocol):
    """Finds objects. Called on many threads at once, for each search with `box=auto`: it should take milliseconds."""

    def regions(self, pixels: np.ndarray, most: int) -> list[Region]:
        """Propose where objects are.

        Args:
            pixels: the upright photo, uint8 of shape (height, width, 3).
            most: regions wanted.

        Returns:
            At most so many, best first; none where the whole picture is the better query.
        """
        ...


class SaliencyDetector:
    """Finds what differs from the picture's rim, whatever it is; see `src.search.saliency`."""

    def regions(self, pixels: np.ndarray, most: int) -> list[Region]:
        """See `Detector.regions`."""
        return [Region(box, score) for box, score in salient_boxes(pixels, most)]


def open_detector(name: str) -> Detector:
    """Make the detector of a name.

    Args:
        name: `saliency`, or an entry point of the group `lookalike.detectors` in an installed package: a callable
            without arguments that returns a `Detector`.

    Raises:
        ConfigError: nothing of that name is installed.
    """
    if name == "saliency":
        return SaliencyDetector()
    plugins = {plugin.name: plugin for plugin in entry_points(group=_PLUGINS)}
    if name not in plugins:
        known = ", ".join(["saliency", *plugins])
        raise ConfigError(f"`detector={name}`: must be one of {known}; install the package whose {_PLUGINS} it is in")
    made: Detector = plugins[name].load()()
    return made
