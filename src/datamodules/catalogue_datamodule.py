"""A catalogue as Lightning takes it."""

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
from src.datamodules.pixel_cache import open_pixel_cache
from src.datamodules.pk_sampler import PKSampler

__all__ = ["CatalogueDataModule"]

Batch = tuple[Tensor, Tensor]


class _Pixels(Dataset[Batch]):
    """Fetches a whole batch at once from the pixel cache."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self._pixels, self._labels = pixels, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, rows: list[int]) -> Batch:
        return torch.from_numpy(self._pixels[rows]), torch.from_numpy(self._labels[rows])


class CatalogueDataModule(lightning.LightningDataModule):
    """P x K batches for training; the images of `val_rows` in order for validation.

    Batches are (pixels, labels): uint8 of shape (images, size, size, 3), augmented training pixels float32, and int64
    of shape (images,). In training the label numbers the item, in validation it is the position in `val_rows`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        spec: PreprocessingSpec,
        val_rows: np.ndarray,
        p: int,
        k: int,
        augmentation: str,
        workers: int,
        eval_batch: int,
        cache: Path,
        seed: int,
    ) -> None:
        super().__init__()
        rows = catalogue.train_rows()
        if p * k > len(rows):
            raise ConfigError(
                f"`data.p={p}` x `data.k={k}`: a batch of {p * k} images is larger than the data ({len(rows)} training "
                f"images); lower `data.p` or `data.k`"
            )
        items = catalogue.column("item_id", rows)
        _, self._labels = np.unique(items.astype(str), return_inverse=True)
        self._sampler = PKSampler(items.tolist(), catalogue.column("domain", rows).tolist(), p=p, k=k, seed=seed)
        self._catalogue, self._rows, self._val_rows = catalogue, rows, val_rows
        self._spec, self._cache = spec, cache
        self._strength = STRENGTHS.get(augmentation)
        self._workers, self._eval_batch = workers, eval_batch
        self._generator = torch.Generator().manual_seed(seed)

    def train_dataloader(self) -> DataLoader[Batch]:
        """One epoch of P x K batches."""
        pixels = open_pixel_cache(self._catalogue, self._rows, self._spec, self._cache)
        return DataLoader(
            _Pixels(pixels, self._labels.astype(np.int64)),
            batch_size=None,
            sampler=self._sampler,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            multiprocessing_context="spawn" if self._workers else None,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation images, each once."""
        pixels = open_pixel_cache(self._catalogue, self._val_rows, self._spec, self._cache)
        count = len(self._val_rows)
        batches = [list(range(i, min(i + self._eval_batch, count))) for i in range(0, count, self._eval_batch)]
        return DataLoader(_Pixels(pixels, np.arange(count)), batch_size=None, sampler=batches)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on the device."""
        if self._strength is None or self.trainer is None or not self.trainer.training:
            return batch
        pixels, labels = batch
        return augment(pixels, self._strength, self._generator), labels
