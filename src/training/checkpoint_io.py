"""Checkpoints that are written atomically."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from src.contracts.atomic_file import atomic_file

__all__ = ["AtomicCheckpointIO"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, of which a kill during writing leaves the old one.

    Lightning's own plugin writes to the system's temporary folder and copies the file where that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the checkpoint by `atomic_file`."""
        # Given a path, torch would put the temporary name into the file.
        with atomic_file(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
