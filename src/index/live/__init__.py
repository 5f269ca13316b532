"""An index that is changed while it is searched: `LiveIndex` writes, `LiveReader` follows from other processes."""

from src.index.live.live_index import LiveIndex
from src.index.live.live_reader import LiveReader
from src.index.live.settings import LiveSettings
from src.index.live.snapshot import Snapshot

__all__ = ["LiveIndex", "LiveReader", "LiveSettings", "Snapshot"]
