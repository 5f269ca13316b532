"""Metrics on the validation split during training."""

import logging
from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import pyarrow as pa
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import Metric

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.eval.gather import gather_rows
from src.eval.logged_metrics import accepted, computed
from src.eval.roles import split_rows
from src.eval.validation_facts import facts_of, facts_on, validation_facts

__all__ = ["RetrievalValidation", "validation_rows"]

log = logging.getLogger(__name__)


def validation_rows(catalogue: Catalogue, split: str = "val") -> np.ndarray:
    """Rows that validation embeds: the split's queries and gallery images, each once.

    Raises:
        LookalikeError: the split has no queries or no gallery.
    """
    return np.union1d(*split_rows(catalogue, split))


class RetrievalValidation(lightning.Callback):
    """Updates metrics with the embeddings of validation batches, and logs their values as `val/NAME`.

    The code of an image is its place among the rows, so that averages are over images in the order of the catalogue,
    as evaluate.py's.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        rows: np.ndarray,
        metrics: Mapping[str, Metric],
        *,
        monitor: str = "recall@1",
        queries: np.ndarray | None = None,
        gallery: np.ndarray | None = None,
    ) -> None:
        """Set what is measured on which images.

        Args:
            catalogue: where the images are.
            rows: int64 of shape (images,), ascending: the rows that are embedded.
            metrics: by name; see `made_metrics`.
            monitor: the value that the progress bar shows.
            queries: those of the rows that are queries; by default those of the validation split.
            gallery: those that can be found; by default those of the validation split.

        Raises:
            ConfigError: a metric of slices by a column that the catalogue does not have.
        """
        super().__init__()
        self._metrics, self._monitor, self._rows = dict(metrics), monitor, len(rows)
        self._facts = validation_facts(
            catalogue.items.take(pa.array(rows)),
            metrics,
            is_query=np.isin(rows, catalogue.query_rows("val") if queries is None else queries),
            is_gallery=np.isin(rows, catalogue.gallery_rows("val") if gallery is None else gallery),
        )
        self._order, self._kept, self._seen = np.empty(0, np.int64), np.empty(0, bool), 0
        self._finite: Tensor | None = None

    def rehearse(self, dim: int) -> None:
        """Compute the metrics once on made-up embeddings, so that what they cannot measure is known before training.

        Args:
            dim: of the embeddings.

        Raises:
            LookalikeError: a metric cannot be computed on this split.
        """
        items = self._facts["item_ids"].cpu().numpy()
        # Equal within an item: a search that finds the positives first is the quickest.
        vectors = np.random.default_rng(0).standard_normal((items.max() + 1, dim)).astype(np.float32)[items]
        self._reset()
        self._update(torch.from_numpy(vectors), torch.arange(self._rows))
        computed(self._metrics)
        self._reset()

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Reset the metrics, and decide which process counts which image: a sampler may give one to several."""
        self._reset()
        for metric in self._metrics.values():
            metric.to(pl_module.device)
        self._facts = facts_on(self._facts, pl_module.device)
        assert trainer.val_dataloaders is not None
        # The sampler yields single rows or batches.
        order = torch.cat([torch.as_tensor(rows).reshape(-1) for rows in trainer.val_dataloaders.sampler])
        places = torch.stack([torch.full_like(order, trainer.global_rank), torch.arange(len(order))], dim=1)
        chosen = gather_rows(order.to(pl_module.device), places.to(pl_module.device), self._rows)
        self._order, self._kept, self._seen = order.numpy(), np.zeros(len(order), bool), 0
        self._kept[chosen[chosen[:, 0] == trainer.global_rank, 1]] = True
        self._finite = None

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Update the metrics with a batch of embeddings."""
        here = slice(self._seen, self._seen + len(outputs))
        self._seen += len(outputs)
        rows = torch.from_numpy(self._order[here][self._kept[here]])
        vectors = outputs.float()
        if len(rows) < len(vectors):
            vectors = vectors[torch.from_numpy(np.flatnonzero(self._kept[here])).to(vectors.device)]
        finite = torch.isfinite(vectors).all()
        self._finite = finite if self._finite is None else self._finite & finite
        self._update(vectors, rows)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compute the metrics and log them."""
        if trainer.sanity_checking or trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by a connector
            return
        if self._seen != len(self._order):
            raise LookalikeError(
                f"{self._seen} of {len(self._order)} images were embedded: validation needs all of them"
            )
        # All processes must raise together.
        finite = self._finite is None or bool(self._finite)
        if not trainer.strategy.reduce_boolean_decision(finite):
            raise LookalikeError(
                "the encoder's embeddings are no longer finite: lower `optim.lr`, or set "
                "`trainer.precision=32-true`; the best checkpoint so far is kept"
            )
        values = computed(self._metrics)
        pl_module.log_dict({f"val/{name}": value for name, value in values.items()})
        if self._monitor in values:
            pl_module.log(self._monitor, values[self._monitor], prog_bar=True, logger=False)
        described = _describe(trainer.callback_metrics, values, self._monitor)
        if trainer.is_global_zero:
            # A validation before or after training belongs to no epoch.
            fitting = trainer.state.fn == TrainerFn.FITTING
            when = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}" if fitting else "validation"
            log.info("%s: %s", when, described)

    def _reset(self) -> None:
        for metric in self._metrics.values():
            metric.reset()

    def _update(self, vectors: Tensor, rows: Tensor) -> None:
        facts = facts_of(self._facts, rows.to(vectors.device))
        for metric in self._metrics.values():
            metric.update(**accepted(metric, {"vectors": vectors, **facts}))


def _describe(logged: Mapping[str, Tensor], values: Mapping[str, float], monitor: str) -> str:
    parts = [f"loss {float(logged['train/loss']):.4f}"] if "train/loss" in logged else []
    shown = dict.fromkeys([monitor, "recall@1", "recall@10", "mrr"])
    return ", ".join([*parts, *(f"{name} {values[name]:.3f}" for name in shown if name in values)])
