"""Retrieval metrics on the validation split during training."""

import logging
from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import pyarrow as pa
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.gather import gather_rows
from src.eval.roles import split_rows

__all__ = ["RetrievalValidation", "validation_rows"]

log = logging.getLogger(__name__)


def validation_rows(catalogue: Catalogue, split: str = "val") -> np.ndarray:
    """Rows that validation embeds: the split's queries and gallery images, each once.

    Raises:
        LookalikeError: the split has no queries or no gallery.
    """
    return np.union1d(*split_rows(catalogue, split))


class RetrievalValidation(lightning.Callback):
    """Collects the embeddings of validation batches, and logs `val/recall@1` and the other metrics."""

    def __init__(self, catalogue: Catalogue, rows: np.ndarray, split: str = "val") -> None:
        super().__init__()
        self._image_ids = catalogue.column("image_id", rows)
        self._item_ids = catalogue.column("item_id", rows)
        self._attributes = catalogue.items.take(pa.array(rows))
        self._queries = np.searchsorted(rows, catalogue.query_rows(split))
        self._gallery = np.searchsorted(rows, catalogue.gallery_rows(split))
        self._batches: list[Tensor] = []

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Drop the embeddings of the last validation."""
        self._batches.clear()

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Keep a batch of embeddings."""
        self._batches.append(outputs.float().cpu())

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compute the metrics and log them."""
        if trainer.sanity_checking or trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by a connector
            return
        vectors = gather_rows(self._rows(trainer), torch.cat(self._batches), len(self._image_ids))
        metrics = evaluate_embedded(self._part(vectors, self._queries), self._part(vectors, self._gallery)).metrics
        pl_module.log_dict({f"val/{name}": float(value) for name, value in metrics.items()})
        pl_module.log("recall@1", metrics["recall@1"], prog_bar=True, logger=False)
        described = _describe(trainer.callback_metrics, metrics)
        if trainer.is_global_zero:
            # A validation before or after training belongs to no epoch.
            fitting = trainer.state.fn == TrainerFn.FITTING
            when = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}" if fitting else "validation"
            log.info("%s: %s", when, described)

    def _rows(self, trainer: lightning.Trainer) -> Tensor:
        """The rows that this process embedded, in order; the sampler yields single rows or batches."""
        assert trainer.val_dataloaders is not None
        return torch.cat([torch.as_tensor(rows).reshape(-1) for rows in trainer.val_dataloaders.sampler])

    def _part(self, vectors: np.ndarray, rows: np.ndarray) -> Embedded:
        if not np.isfinite(vectors).all():
            raise LookalikeError(
                "the encoder's embeddings are no longer finite: lower `optim.lr`, or set "
                "`trainer.precision=32-true`; the best checkpoint so far is kept"
            )
        return Embedded(vectors, self._image_ids, self._item_ids, self._attributes).take(rows)


def _describe(logged: Mapping[str, Tensor], metrics: Mapping[str, float | int]) -> str:
    parts = [f"loss {float(logged['train/loss']):.4f}"] if "train/loss" in logged else []
    parts += [f"{name} {metrics[name]:.3f}" for name in ("recall@1", "recall@10", "mrr")]
    return ", ".join(parts)
