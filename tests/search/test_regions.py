from importlib.metadata import EntryPoint

import numpy as np
import pytest

from src.contracts.errors import ConfigError
from src.search import regions as module
from src.search.box import Box
from src.search.regions import Region, SaliencyDetector, open_detector


class Corner:
    """A plug-in: the upper left quarter is the object."""

    def regions(self, pixels: np.ndarray, most: int) -> list[Region]:
        return [Region(Box(x=0.0, y=0.0, width=0.5, height=0.5), 1.0)]


def test_saliency_is_there_without_a_download():
    assert isinstance(open_detector("saliency"), SaliencyDetector)


def test_plug_in_is_found_by_its_name(monkeypatch):
    plugin = EntryPoint("corner", f"{__name__}:Corner", "lookalike.detectors")
    monkeypatch.setattr(plugin.__class__, "load", lambda self: Corner)
    monkeypatch.setattr(module, "entry_points", lambda group: [plugin] if group == "lookalike.detectors" else [])
    assert open_detector("corner").regions(np.zeros((4, 4, 3), np.uint8), 1)[0].score == 1.0
    with pytest.raises(ConfigError, match=r"`detector=yolo`: must be one of saliency, corner"):
        open_detector("yolo")
