"""Global hard negatives: now and then the whole training set is searched for what is confused today."""

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
from src.models.weight_averaging import validated_module

__all__ = ["GlobalHardNegatives"]

log = logging.getLogger(__name__)


class GlobalHardNegatives(lightning.Callback):
    """Gives a sampler, each few epochs, the items that the encoder takes for each other.

    The training set is embedded as it is, without augmentation, in evaluation mode, by averaged weights if any; parted
    among the processes, and searched by the first, whose result all of them use. That costs a pass over the images
    without gradients and the search of `confused_items`, and 4 bytes x numbers in an embedding x images of memory. The
    neighbourhoods in use are part of a checkpoint: a run that is resumed within an epoch draws the rest as it would
    have.
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
        """Name what is to be done.

        Args:
            sampler: whose neighbourhoods are exchanged.
            images: what is trained on.
            pixels: opens its pixels: uint8 of shape (images, size, size, 3).
            every: epochs from one search to the next.
            first_epoch: epochs that are trained before the first search.
            count: see `confused_items`.
            skip: see there.
            batch: images embedded at once.
            lasting: neighbours that are there beside those found.
        """
        super().__init__()
        self._sampler, self._images, self._pixels, self._lasting = sampler, images, pixels, lasting
        self._every, self._first = every, first_epoch
        self._count, self._skip, self._batch = count, skip, batch
        self._searched = -1

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Search, where it is time to."""
        epoch = trainer.current_epoch
        # A run that goes on within an epoch begins it again, with other weights by then.
        if epoch < self._first or (epoch - self._first) % self._every or epoch == self._searched:
            return
        start = time.perf_counter()
        vectors = self._embedded(trainer, pl_module)
        found: Any = None
        if trainer.is_global_zero:
            found = confused_items(vectors, self._images, count=self._count, skip=self._skip)
        # Float arithmetic may differ between devices; the batches must not.
        neighbourhoods, confusion = trainer.strategy.broadcast(found)
        self._use(neighbourhoods)
        self._searched = epoch
        if confusion is not None:
            pl_module.log("train/confusion", confusion, sync_dist=True)
        log.info(
            "epoch %d: searched %d images in %.1f s; %s of them find another product before their own item",
            epoch + 1,
            len(self._images),
            time.perf_counter() - start,
            "none can be said" if confusion is None else f"{confusion:.1%}",
        )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log how many of the epoch's items were neighbours."""
        pl_module.log("train/neighbour_share", self._sampler.neighbour_share, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """The neighbourhoods in use, and the epoch that found them."""
        used = self._sampler.neighbourhoods
        table = {name: torch.from_numpy(getattr(used, name)) for name in ("starts", "items", "weights")}
        return {"neighbourhoods": table, "epoch": self._searched}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Use those of the checkpoint."""
        table: dict[str, Tensor] = state_dict["neighbourhoods"]
        self._sampler.neighbourhoods = Neighbourhoods(**{name: value.numpy() for name, value in table.items()})
        self._searched = state_dict["epoch"]

    def _use(self, found: Neighbourhoods) -> None:
        self._sampler.neighbourhoods = found.with_others(self._lasting) if self._lasting is not None else found

    def _embedded(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> np.ndarray:
        """The training set's embeddings: float32 of shape (images, dim), the same in all processes."""
        pixels, world = self._pixels(), trainer.world_size
        # All processes embed equally many; what is too many is dropped after gathering.
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
        # Row r is the (r // world)-th of process r % world.
        vectors: np.ndarray = gathered.transpose(0, 1).reshape(world * len(mine), -1)[: len(pixels)].cpu().numpy()
        return vectors
