"""Metrics on the validation split during training."""

import logging
from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import Metric

from src.catalog.catalogue import Catalogue
from src.contracts.errors import ConfigError, LookalikeError
from src.eval.gather import gather_rows
from src.eval.logged_metrics import accepted, computed
from src.eval.relevance import NULL
from src.eval.roles import split_rows
from src.eval.slice_columns import slice_values

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
        table = catalogue.items.take(pa.array(rows))
        is_query, is_gallery = (
            torch.from_numpy(np.isin(rows, catalogue_rows if given is None else given))
            for given, catalogue_rows in (
                (queries, catalogue.query_rows("val")),
                (gallery, catalogue.gallery_rows("val")),
            )
        )
        self._ids = {
            "item_ids": _codes(table["item_id"]),
            "image_ids": torch.arange(len(rows)),
            "is_query": is_query,
            "is_gallery": is_gallery,
        }
        self._columns = {name: _column(table, name) for name in _named(metrics, "columns")}
        self._slices = {name: _slices(table, name, is_query.numpy()) for name in _named(metrics, "slices")}
        self._order, self._kept, self._seen = np.empty(0, np.int64), np.empty(0, bool), 0
        self._finite: Tensor | None = None

    def rehearse(self, dim: int) -> None:
        """Compute the metrics once on made-up embeddings, so that what they cannot measure is known before training.

        Args:
            dim: of the embeddings.

        Raises:
            LookalikeError: a metric cannot be computed on this split.
        """
        items = self._ids["item_ids"].numpy()
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
        facts: dict[str, Any] = {name: values[rows].to(vectors.device) for name, values in self._ids.items()}
        for kind, columns in (("columns", self._columns), ("slices", self._slices)):
            facts[kind] = {name: codes[rows].to(vectors.device) for name, codes in columns.items()}
        for metric in self._metrics.values():
            metric.update(**accepted(metric, {"vectors": vectors, **facts}))


def _named(metrics: Mapping[str, Metric], attribute: str) -> list[str]:
    return sorted({name for metric in metrics.values() for name in getattr(metric, attribute, ())})


def _codes(column: pa.ChunkedArray) -> Tensor:
    indices = column.combine_chunks().dictionary_encode().indices
    return torch.from_numpy(pc.fill_null(indices, NULL).to_numpy(zero_copy_only=False).astype(np.int64))


def _column(table: pa.Table, name: str) -> Tensor:
    """The codes of a column; null everywhere where the catalogue does not have it."""
    return _codes(table[name]) if name in table.column_names else torch.full((len(table),), NULL)


def _slices(table: pa.Table, name: str, is_query: np.ndarray) -> Tensor:
    """The slices of evaluate.py's report, -1 for images that are no queries."""
    if name not in table.column_names:
        raise ConfigError(f"`metric`: slices by {name}; the catalogue has {', '.join(table.column_names)}")
    codes = np.full(len(table), NULL)
    rows = np.flatnonzero(is_query)
    codes[rows] = slice_values(table[name].take(pa.array(rows)), name)[1]
    return torch.from_numpy(codes)


def _describe(logged: Mapping[str, Tensor], values: Mapping[str, float], monitor: str) -> str:
    parts = [f"loss {float(logged['train/loss']):.4f}"] if "train/loss" in logged else []
    shown = dict.fromkeys([monitor, "recall@1", "recall@10", "mrr"])
    return ", ".join([*parts, *(f"{name} {values[name]:.3f}" for name in shown if name in values)])
