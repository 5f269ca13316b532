"""Global hard negatives: every few epochs the whole training set is searched for items that the encoder confuses."""

import logging
import time
from collections.abc import Callable
from typing import Any

import lightning
import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from src.datamodules.neighbourhood_sampler import NeighbourhoodSampler
from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet
from src.miners.confused_items import confused_items
from src.training.weight_averaging import validated_module

__all__ = ["GlobalHardNegatives"]

log = logging.getLogger(__name__)


class GlobalHardNegatives(lightning.Callback):
    """Every few epochs, gives a sampler the items that the encoder confuses as neighbours.

    The training set is embedded without augmentation, in evaluation mode, by averaged weights if there are any. The
    images are divided among the processes; the first process searches, and all use its result. The cost is a forward
    pass over the images, the search of `confused_items`, and 4 bytes x dimension x images of memory. The neighbourhoods
    in use are part of a checkpoint, so that a run resumed within an epoch draws the same remaining batches.
    """

    def __init__(
        self,
        sampler: NeighbourhoodSampler,
        images: TrainingSet,
        pixels: Callable[[], np.ndarray],
        *,
        every: int,
        first_epoch: int,
        count: int,
        skip: int,
        batch: int,
        lasting: Neighbourhoods | None = None,
    ) -> None:
        """Set the sampler, the images and the schedule.

        Args:
            sampler: the sampler that gets the neighbourhoods.
            images: the training set.
            pixels: opens the training set's pixels: uint8 of shape (images, size, size, 3).
            every: epochs from one search to the next.
            first_epoch: epochs before the first search.
            count: see `confused_items`.
            skip: see `confused_items`.
            batch: images embedded at once.
            lasting: neighbours that are kept beside those found.
        """
        super().__init__()
        self._sampler, self._images, self._pixels, self._lasting = sampler, images, pixels, lasting
        self._every, self._first = every, first_epoch
        self._count, self._skip, self._batch = count, skip, batch
        self._searched = -1

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Search in the epochs of the schedule."""
        epoch = trainer.current_epoch
        # A run resumed within an epoch starts it again: it must not search again, with other weights.
        if epoch < self._first or (epoch - self._first) % self._every or epoch == self._searched:
            return
        start = time.perf_counter()
        vectors = self._embedded(trainer, pl_module)
        found: Any = None
        if trainer.is_global_zero:
            found = confused_items(vectors, self._images, count=self._count, skip=self._skip)
        # Float arithmetic may differ between devices, but all processes must draw the same batches.
        neighbourhoods, confusion = trainer.strategy.broadcast(found)
        self._use(neighbourhoods)
        self._searched = epoch
        if confusion is not None:
            pl_module.log("train/confusion", confusion, sync_dist=True)
        log.info(
            "epoch %d: searched %d images in %.1f s; share that finds another product before its own item: %s",
            epoch + 1,
            len(self._images),
            time.perf_counter() - start,
            "unknown, no item has two images" if confusion is None else f"{confusion:.1%}",
        )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the share of the epoch's items that were neighbours."""
        pl_module.log("train/neighbour_share", self._sampler.neighbour_share, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """The neighbourhoods in use, and the epoch in which they were found."""
        used = self._sampler.neighbourhoods
        table = {name: torch.from_numpy(getattr(used, name)) for name in ("starts", "items", "weights")}
        return {"neighbourhoods": table, "epoch": self._searched}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Use the checkpoint's neighbourhoods."""
        table: dict[str, Tensor] = state_dict["neighbourhoods"]
        self._sampler.neighbourhoods = Neighbourhoods(**{name: value.numpy() for name, value in table.items()})
        self._searched = state_dict["epoch"]

    def _use(self, found: Neighbourhoods) -> None:
        self._sampler.neighbourhoods = found.with_others(self._lasting) if self._lasting is not None else found

    def _embedded(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> np.ndarray:
        """The training set's embeddings: float32 of shape (images, dim), the same in all processes."""
        pixels, world = self._pixels(), trainer.world_size
        # All processes embed the same number of images; the surplus is dropped after gathering.
        mine = np.arange(trainer.global_rank, -(-len(pixels) // world) * world, world) % len(pixels)
        batches = [mine[start : start + self._batch] for start in range(0, len(mine), self._batch)]
        encoder = validated_module(trainer, pl_module).encoder
        assert isinstance(encoder, nn.Module)
        # Not `encoder.train()` afterwards: parts of it may be frozen in evaluation mode.
        modes = {module: module.training for module in encoder.modules()}
        encoder.eval()
        try:
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                parts = [
                    encoder(torch.from_numpy(pixels[rows]).to(pl_module.device)).float()
                    for rows in track(batches, "embedding the training set", transient=True)
                ]
        finally:
            for module, mode in modes.items():
                module.training = mode
        gathered = trainer.strategy.all_gather(torch.cat(parts)).reshape(world, len(mine), -1)
        # Row r is row r // world of process r % world.
        vectors: np.ndarray = gathered.transpose(0, 1).reshape(world * len(mine), -1)[: len(pixels)].cpu().numpy()
        return vectors
