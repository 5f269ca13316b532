"""Pictures of validation queries beside their best results, while a run trains."""

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from src.catalog.catalogue import Catalogue
from src.contracts.errors import ConfigError
from src.datamodules.catalogue_datamodule import CatalogueDataModule
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.gather import gather_rows
from src.eval.pictures import draw_results

__all__ = ["RetrievalPictures"]

_KEY = "val/results"


class RetrievalPictures(lightning.Callback):
    """Draws the same queries every few validations, into the run's folder and to Weights & Biases or TensorBoard.

    It keeps the embeddings of one validation, and searches them once more for each picture.
    """

    def __init__(self, every: int = 5, queries: int = 8, top: int = 5) -> None:
        """Set what is drawn, and when.

        Args:
            every: epochs from one picture to the next; the first validation is drawn too.
            queries: rows of the picture, spread evenly over the queries that have a positive.
            top: results in a row.

        Raises:
            ConfigError: one of them is below 1.
        """
        for name, value in (("every", every), ("queries", queries), ("top", top)):
            if value < 1:
                raise ConfigError(f"`callbacks.pictures.{name}={value}`: must be at least 1")
        self._every, self._queries, self._top = every, queries, top
        self._vectors: list[Tensor] = []
        self._next = 0

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget the embeddings of the validation before."""
        self._vectors.clear()

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Keep a batch of embeddings, if this validation is drawn."""
        if self._is_drawn(trainer):
            self._vectors.append(outputs.float())

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Search the embeddings and draw the results."""
        if not self._is_drawn(trainer):
            return
        data = trainer.datamodule  # type: ignore[attr-defined]  # set by a connector
        assert isinstance(data, CatalogueDataModule)
        assert trainer.val_dataloaders is not None
        order = torch.cat([torch.as_tensor(rows).reshape(-1) for rows in trainer.val_dataloaders.sampler])
        vectors = gather_rows(order.to(pl_module.device), torch.cat(self._vectors), len(data.val_rows))
        self._vectors.clear()
        epoch = trainer.current_epoch + 1
        self._next = trainer.current_epoch + self._every
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / "pictures" / f"epoch-{epoch:03d}.png"
            if self._draw(data.catalogue, data.val_rows, vectors, path):
                for logger in trainer.loggers:
                    _log(logger, path, trainer.global_step)

    def _is_drawn(self, trainer: lightning.Trainer) -> bool:
        trial = trainer.sanity_checking or trainer.fast_dev_run  # type: ignore[attr-defined]
        return not trial and trainer.current_epoch >= self._next

    def _draw(self, catalogue: Catalogue, rows: np.ndarray, vectors: np.ndarray, path: Path) -> bool:
        """Whether there was a query to draw."""
        place = {row: number for number, row in enumerate(rows.tolist())}

        def embedded(chosen: np.ndarray) -> Embedded:
            return Embedded(
                vectors[[place[row] for row in chosen.tolist()]],
                catalogue.column("image_id", chosen),
                catalogue.column("item_id", chosen),
            )

        queries = np.intersect1d(catalogue.query_rows("val"), rows)
        gallery = np.intersect1d(catalogue.gallery_rows("val"), rows)
        if not len(queries) or not len(gallery):
            return False
        evaluation = evaluate_embedded(embedded(queries), embedded(gallery))
        draw_results(catalogue, evaluation, path, queries=self._queries, top=self._top)
        return True


def _log(logger: Logger, path: Path, step: int) -> None:
    """Give the picture to a logger that has a place for pictures."""
    from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger

    if isinstance(logger, WandbLogger):
        logger.log_image(_KEY, [str(path)], step=step)
    elif isinstance(logger, TensorBoardLogger):
        from PIL import Image

        with Image.open(path) as picture:
            logger.experiment.add_image(_KEY, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(path), "pictures")
