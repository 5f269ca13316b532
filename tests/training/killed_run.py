"""A small training that runs in a process of its own and kills that process where it is told to."""

import os
import signal
import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import faiss
import lightning
import torch
from pytorch_metric_learning.losses import ContrastiveLoss, ProxyAnchorLoss

from src.catalog.catalogue import open_catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import OptimSettings, TrainerSettings
from src.datamodules.augmentation import strength_of
from src.datamodules.catalogue_datamodule import CatalogueDataModule
from src.datamodules.neighbourhood_sampler import NeighbourhoodSampler
from src.datamodules.training_set import training_set
from src.eval.retrieval_metric import RetrievalMetrics
from src.eval.validation import RetrievalValidation, validation_rows
from src.losses.cross_batch_memory import CrossBatchMemory
from src.losses.objective import Objective
from src.losses.weighted_sum import WeightedSum
from src.models.checkpoint import CARD
from src.models.encoder import build_encoder
from src.training import checkpoint_io
from src.training.global_hard_negatives import GlobalHardNegatives
from src.training.last_checkpoint import last_checkpoint
from src.training.metric_learning import MetricLearning
from src.training.schedules import one_cycle
from src.training.trainer import build_trainer, fit

EPOCHS = 3
SPEC = PreprocessingSpec(size=32, resize="squash")
CARD_OF_RUN: dict[str, Any] = {CARD: 1, "seed": 0, "optim": {"lr": 1e-2}}


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class Killer(lightning.Callback):
    """Kills the process in the middle of a step, after one, or while validating behind one."""

    def __init__(self, where: str, step: int) -> None:
        self.where, self.step = where, step

    def on_before_optimizer_step(self, trainer: lightning.Trainer, *_: object) -> None:
        if self.where == "within a step" and trainer.global_step == self.step:
            die()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        if self.where == "after a step" and trainer.global_step == self.step:
            die()

    def on_validation_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        if self.where == "while validating" and trainer.global_step == self.step:
            die()

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        if self.where == "after validating" and trainer.global_step == self.step:
            die()


def kill_while_saving(where: str, step: int) -> None:
    """Die with half a file on the disk, or with a whole one that is not yet renamed."""
    real = torch.save

    def save(checkpoint: dict[str, Any], file: Any) -> None:
        if checkpoint["global_step"] == step and Path(file.name).name.startswith(".last"):
            real(checkpoint, file)
            file.flush()
            if where == "half saved":
                os.truncate(file.name, os.path.getsize(file.name) // 2)
            die()
        real(checkpoint, file)

    checkpoint_io.torch.save = save


def run(folder: Path, data: Any, where: str = "", step: int = -1, patience: int = 5, pause_at: float = 1.0) -> None:
    """Train in a folder, from its last checkpoint if it has one; die where told to."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    catalogue = open_catalogue(data)
    rows, images = validation_rows(catalogue), training_set(catalogue)
    datamodule = CatalogueDataModule(
        catalogue,
        images,
        spec=SPEC,
        val_rows=rows,
        sampler=partial(NeighbourhoodSampler, share=0.5),
        p=2,
        k=2,
        augmentation=strength_of("strong"),
        workers=data.workers,
        eval_batch=8,
        cache=Path(data.cache),
        seed=0,
    )
    network = {"backbone": "resnet10t", "backbone_kwargs": {"channels": [8, 8, 16, 16], "drop_rate": 0.2}}
    optim = asdict(OptimSettings(lr=1e-2, backbone_lr=1e-2))
    module = MetricLearning(
        build_encoder(spec=SPEC, **network, hidden_dim=16, embedding_dim=8),
        objective=WeightedSum(
            {
                "proxies": (Objective(ProxyAnchorLoss(num_classes=images.item_count, embedding_size=8)), 1.0),
                "memory": (Objective(ContrastiveLoss(), memory=CrossBatchMemory(size=10, dim=8)), 1.0),
            }
        ),
        card=CARD_OF_RUN,
        scheduler=partial(one_cycle, warmup=0.2),
        **optim,
    )
    settings = asdict(
        TrainerSettings(
            epochs=EPOCHS, accelerator="cpu", validate_every=1, checkpoint_every=4, patience=patience, pause_at=pause_at
        )
    )
    for name in ("eval_batch", "resume", "chunk", "compile", "overfit", "lightning"):
        settings.pop(name)
    if where.endswith("saved"):
        kill_while_saving(where, step)
    search = GlobalHardNegatives(
        datamodule.sampler, images, datamodule.training_pixels, every=1, first_epoch=1, count=3, skip=0, batch=8
    )
    trainer = build_trainer(
        folder=folder,
        loggers=[],
        callbacks=[
            RetrievalValidation(catalogue, rows, {"retrieval": RetrievalMetrics()}),
            search,
            Killer(where, step),
        ],
        **settings,
    )
    fit(trainer, module, datamodule, epochs=EPOCHS, resume=last_checkpoint(folder, CARD_OF_RUN))
