"""A catalogue as Lightning takes it."""

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
from src.datamodules.augmentation import STRENGTHS, augment
from src.datamodules.batch_sampler import BatchSampler
from src.datamodules.pixel_cache import open_pixel_cache
from src.datamodules.training_set import Batch, Facts, TrainingSet

__all__ = ["CatalogueDataModule"]


class _TrainingBatches(Dataset[Batch]):
    """Fetches a whole batch at once from the pixel cache."""

    def __init__(self, pixels: np.ndarray, images: TrainingSet) -> None:
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


class CatalogueDataModule(lightning.LightningDataModule):
    """P x K batches for training; the pixels of `val_rows`, in order, for validation."""

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
        augmentation: str,
        workers: int,
        eval_batch: int,
        cache: Path,
        seed: int,
    ) -> None:
        super().__init__()
        if p * k > len(images):
            raise ConfigError(
                f"`data.p={p}` x `data.k={k}`: a batch of {p * k} images is larger than the data ({len(images)} "
                f"training images); lower `data.p` or `data.k`"
            )
        self._sampler = sampler(images, p=p, k=k, seed=seed)
        self._catalogue, self._images, self._val_rows = catalogue, images, val_rows
        self._spec, self._cache = spec, cache
        self._strength = STRENGTHS.get(augmentation)
        self._workers, self._eval_batch = workers, eval_batch
        self._generator = torch.Generator().manual_seed(seed)

    def train_dataloader(self) -> DataLoader[Batch]:
        """One epoch of P x K batches."""
        pixels = open_pixel_cache(self._catalogue, self._images.rows, self._spec, self._cache)
        return DataLoader(
            _TrainingBatches(pixels, self._images),
            batch_size=None,
            sampler=self._sampler,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            multiprocessing_context="spawn" if self._workers else None,
        )

    def val_dataloader(self) -> DataLoader[Tensor]:
        """The validation images, each once."""
        pixels = open_pixel_cache(self._catalogue, self._val_rows, self._spec, self._cache)
        count = len(self._val_rows)
        batches = [list(range(i, min(i + self._eval_batch, count))) for i in range(0, count, self._eval_batch)]
        return DataLoader(_Pixels(pixels), batch_size=None, sampler=batches)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on the device."""
        if self._strength is None or self.trainer is None or not self.trainer.training:
            return batch
        return batch._replace(pixels=augment(batch.pixels, self._strength, self._generator))
