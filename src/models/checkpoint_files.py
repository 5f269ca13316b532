"""Checkpoints written whole or not at all."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

__all__ = ["WholeCheckpoints"]


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's files, but a kill while one is written leaves the one that was there.

    Lightning's own writes to the system's temporary folder and copies from there, where that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside the place, let the disk have it, and rename."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
