"""The Lightning datamodule of a catalogue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.catalog.catalogue import Catalogue
from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.augmentation import Augmentation
from src.datamodules.batch_sampler import BatchSampler
from src.datamodules.pixel_cache import open_pixel_cache
from src.datamodules.training_loader import RankBatches, TrainingLoader
from src.datamodules.training_set import Batch, Facts, TrainingSet

__all__ = ["CatalogueDataModule", "TrainingBatches", "check_batch_fits"]


class TrainingBatches(Dataset[Batch]):
    """Fetches a whole batch at once: `DataLoader(TrainingBatches(...), sampler=PKSampler(...), batch_size=None)`."""

    def __init__(self, pixels: np.ndarray, images: TrainingSet) -> None:
        """Set what is fetched from.

        Args:
            pixels: uint8 of shape (images, size, size, 3), such as `open_pixel_cache` gives.
            images: their facts.
        """
        self._pixels, self._images = pixels, images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, numbers: list[int]) -> Batch:
        images = self._images
        columns = images.items, np.arange(len(images)), images.parents, images.categories, images.domains
        return Batch(
            torch.from_numpy(self._pixels[numbers]), Facts(*(torch.from_numpy(column[numbers]) for column in columns))
        )


class _Pixels(Dataset[Tensor]):
    """Fetches the pixels of a whole batch at once."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, rows: list[int]) -> Tensor:
        return torch.from_numpy(self._pixels[rows])


def check_batch_fits(images: int, *, p: int, k: int) -> None:
    """Raise `ConfigError` where a batch of P x K would need more images than there are to train on."""
    if p * k > images:
        raise ConfigError(
            f"`data.p={p}` x `data.k={k}`: a batch of {p * k} images is larger than the data ({images} training "
            f"images); lower `data.p` or `data.k`"
        )


class CatalogueDataModule(lightning.LightningDataModule):
    """P x K batches for training; the pixels of `val_rows`, in order, for validation.

    Attributes:
        sampler: the sampler that draws the training batches.
        catalogue: where the images are.
        val_rows: int64 of shape (images,): the rows that validation embeds.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        images: TrainingSet,
        *,
        spec: PreprocessingSpec,
        val_rows: np.ndarray,
        sampler: Callable[..., BatchSampler],
        p: int,
        k: int,
        augmentation: Augmentation | None,
        workers: int,
        eval_batch: int,
        cache: Path,
        seed: int,
    ) -> None:
        super().__init__()
        check_batch_fits(len(images), p=p, k=k)
        self.sampler = sampler(images, p=p, k=k, seed=seed)
        self.catalogue, self._images, self.val_rows = catalogue, images, val_rows
        self._spec, self._cache = spec, cache
        self._augmentation = augmentation
        self._workers, self._eval_batch = workers, eval_batch
        self._seed = seed
        self._first = 0
        self._loader: TrainingLoader | None = None

    def prepare_data(self) -> None:
        """Decode images that are not cached yet; Lightning calls this in the first process while the others wait."""
        self.training_pixels()
        open_pixel_cache(self.catalogue, self.val_rows, self._spec, self._cache)

    def training_pixels(self) -> np.ndarray:
        """The cached pixels of the training images: uint8 of shape (images, size, size, 3), a memory map."""
        return open_pixel_cache(self.catalogue, self._images.rows, self._spec, self._cache)

    def train_dataloader(self) -> DataLoader[Batch]:
        """One epoch of P x K batches."""
        rank, world = self._process()
        self._loader = TrainingLoader(
            TrainingBatches(self.training_pixels(), self._images),
            RankBatches(self.sampler, rank=rank, world=world, first=self._first),
            generator=torch.Generator(),
            pin_memory=self._on_cuda(),
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            multiprocessing_context="spawn" if self._workers else None,
        )
        return self._loader

    def val_dataloader(self) -> DataLoader[Tensor]:
        """The validation images; several processes get equally many each, so that some images come twice."""
        pixels = open_pixel_cache(self.catalogue, self.val_rows, self._spec, self._cache)
        rank, world = self._process()
        count = len(self.val_rows)
        mine = (np.arange(rank, -(-count // world) * world, world) % count).tolist()
        batches = [mine[start : start + self._eval_batch] for start in range(0, len(mine), self._eval_batch)]
        # A generator of its own, so that validation does not use the training's random numbers.
        return DataLoader(
            _Pixels(pixels), batch_size=None, sampler=batches, generator=torch.Generator(), pin_memory=self._on_cuda()
        )

    def _on_cuda(self) -> bool:
        """Whether batches go to a CUDA device, which can copy from pinned memory while it computes."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _process(self) -> tuple[int, int]:
        """The rank of the process, and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on the device; the draws depend on the seed, the step and the rank only."""
        if self._augmentation is None or self.trainer is None or not self.trainer.training:
            return batch
        # A step may accumulate several batches, each with draws of its own.
        accumulated = self.trainer.accumulate_grad_batches
        part = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready % accumulated
        step = self.trainer.global_step * accumulated + part
        place = np.random.SeedSequence([self._seed, step, self.trainer.global_rank])
        generator = torch.Generator().manual_seed(int(place.generate_state(1)[0]))
        return batch._replace(pixels=self._augmentation(batch.pixels, batch.facts.domains, generator))

    def state_dict(self) -> dict[str, Any]:
        """The fingerprint of the training set, and the number of batches drawn in this epoch."""
        batches = 0
        if self._loader and self.trainer is not None:
            # An epoch may be shorter than the sampler's (`limit_train_batches`).
            batches = self._loader.given % int(min(len(self.sampler), self.trainer.num_training_batches))
        return {"images": self._images.fingerprint, "batches": batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue within the epoch; refuse another training set.

        Raises:
            ConfigError: the catalogue is not the one that the checkpoint was trained on.
        """
        if state_dict["images"] != self._images.fingerprint:
            raise ConfigError(
                f"the catalogue has changed since its checkpoint ({len(self._images)} training images now): "
                "a run continues only on the same images; train in another folder with hydra.run.dir=DIR"
            )
        self._first = state_dict["batches"] % len(self.sampler)
