"""One run: data, encoder, objective and trainer from the settings; then training, and what the run keeps."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch import nn

from src.catalog.catalogue import Catalogue, open_catalogue
from src.catalog.leakage import check_leakage
from src.contracts.settings import TrainSettings
from src.datamodules.augmentation import strength_of
from src.datamodules.catalogue_datamodule import CatalogueDataModule, check_batch_fits
from src.datamodules.fixed_batch import FixedBatch
from src.datamodules.image_transforms import PerImage
from src.datamodules.training_set import training_set
from src.eval.confidence import confidence_metrics
from src.eval.evaluation import Evaluation, evaluate_split, print_metrics, write_metrics
from src.eval.logged_metrics import direction, made_metrics
from src.eval.per_query import write_queries
from src.eval.product_notes import product_notes
from src.eval.validation import RetrievalValidation, validation_rows
from src.losses.build import build_objective, try_objective
from src.losses.click_preference import ClickPreference
from src.models.checkpoint import load_encoder, make_card, method_of
from src.models.inference import embedder
from src.models.pca_initialisation import initialise_pca_head
from src.models.warm_start import initial_encoder
from src.sweeps.report import study_reports
from src.tracking.loggers import run_arguments, run_config, tracked
from src.tracking.result import log_result
from src.training.callbacks import made_callbacks
from src.training.falling_loss import FallingLoss
from src.training.hard_negatives import (
    click_neighbourhoods,
    neighbour_searches,
    read_click_pairs,
    sampler_with_neighbourhoods,
)
from src.training.last_checkpoint import last_checkpoint
from src.training.metric_learning import MetricLearning
from src.training.monitor import Monitor
from src.training.trainer import build_trainer, fit

__all__ = ["train"]


def train(settings: TrainSettings, folder: Path, *, make: Callable[..., Any]) -> Path | None:
    """Train into a folder, evaluate the best checkpoint on the validation split, write metrics.json.

    Args:
        settings: of the run, checked.
        folder: the run's.
        make: makes an object from a component's settings (`_target_` and arguments), as Hydra's `instantiate` does.

    Returns:
        The best checkpoint; None in processes other than the first, which end after training, and after
        `trainer.lightning.fast_dev_run` and `trainer.overfit`, which are trials.
    """
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    logged = made_metrics(settings.metric, make)
    monitor = Monitor(f"val/{settings.metric.monitor}", direction(logged, settings.metric))
    trainer_settings = asdict(settings.trainer)
    batch, chunk, compiled, resume, overfit, arguments = (
        trainer_settings.pop(name) for name in ("eval_batch", "chunk", "compile", "resume", "overfit", "lightning")
    )
    try_objective(settings.loss, settings.miner, make=make)
    own = PerImage(make(settings.augmentation)) if settings.augmentation else None
    own_callbacks = made_callbacks(settings.callbacks, make=make, monitor=monitor)
    catalogue = _checked_catalogue(settings, folder)
    images, rows = training_set(catalogue), validation_rows(catalogue)
    pairs = read_click_pairs(catalogue, images, settings.clicks)
    lasting = click_neighbourhoods(pairs, images) if pairs else None
    data = settings.data
    augment = own or strength_of(data.augmentation)
    sampler = sampler_with_neighbourhoods(make(settings.sampler), lasting)
    roles: dict[str, Any] = {}
    if overfit:
        fixed = FixedBatch(sampler(images, p=data.p, k=data.k, seed=settings.seed), steps=overfit)
        sampler, augment = (lambda *_, **__: fixed), None
        rows = np.unique(images.rows[fixed.batch])
        roles = {"queries": rows, "gallery": rows}
    datamodule = CatalogueDataModule(
        catalogue,
        images,
        spec=settings.preprocessing,
        val_rows=rows,
        sampler=sampler,
        p=data.p,
        k=data.k,
        augmentation=augment,
        workers=data.workers,
        eval_batch=batch,
        cache=Path(data.cache),
        seed=settings.seed,
    )
    card = make_card(settings)
    last = last_checkpoint(folder, card) if resume else None
    encoder = initial_encoder(spec=settings.preprocessing, **asdict(settings.model))
    initialise_pca_head(encoder, datamodule.training_pixels, batch=batch)
    objective: nn.Module = build_objective(
        settings.loss, settings.miner, make=make, images=images, dim=encoder.dim, **asdict(settings.objective)
    )
    if pairs is not None:
        weight, temperature = settings.clicks.weight, settings.clicks.temperature
        objective = ClickPreference(
            objective, pairs, item_count=images.item_count, weight=weight, temperature=temperature
        )
    module = MetricLearning(
        encoder,
        objective=objective,
        optimizer=make(settings.optimizer),
        scheduler=make(settings.scheduler),
        monitor=monitor,
        card=card,
        chunk=chunk,
        **asdict(settings.optim),
    )
    validation = RetrievalValidation(catalogue, rows, logged, monitor=settings.metric.monitor, **roles)
    validation.rehearse(encoder.dim)
    loggers = [make(logger, **run_arguments(logger, card)) for logger in settings.logger.values()]
    with tracked(loggers, run_config(settings, card), continued=last is not None, best=monitor):
        callbacks = [
            validation,
            *([FallingLoss()] if overfit else []),
            *neighbour_searches(datamodule, images, neighbours=settings.neighbours, lasting=lasting, batch=batch),
            *study_reports(folder),
            *own_callbacks,
        ]
        trainer = build_trainer(
            folder=folder,
            loggers=loggers,
            callbacks=callbacks,
            monitor=monitor,
            arguments=make(arguments),
            **trainer_settings,
        )
        checkpoint = fit(trainer, module, datamodule, epochs=settings.trainer.epochs, resume=last, compiled=compiled)
        if checkpoint is None or overfit or not trainer.is_global_zero:
            return None
        evaluation, metrics = _evaluate(settings, folder, catalogue, checkpoint, method=method_of(card))
        log_result(
            loggers,
            folder,
            card=card,
            checkpoint=checkpoint,
            catalogue=catalogue,
            evaluation=evaluation,
            metrics=metrics,
        )
    return checkpoint


def _checked_catalogue(settings: TrainSettings, folder: Path) -> Catalogue:
    """The catalogue, after the checks of its size and of images on both sides of the split."""
    data = settings.data
    catalogue = open_catalogue(data, need_gallery=True)
    # Checked before images are read for the leakage check, and again after copies were removed.
    check_batch_fits(len(catalogue.train_rows()), p=data.p, k=data.k)
    return check_leakage(catalogue, leakage=data.leakage, cache=Path(data.cache), table=folder / "leakage.csv")


def _evaluate(
    settings: TrainSettings, folder: Path, catalogue: Catalogue, checkpoint: Path, *, method: str
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate a checkpoint on the validation split; write and print its metrics."""
    encoder, spec, _ = load_encoder(checkpoint)
    evaluation = evaluate_split(catalogue, "val", spec, embedder(encoder), batch=settings.trainer.eval_batch)
    metrics = evaluation.metrics | confidence_metrics(evaluation)
    write_queries(
        evaluation.per_query,
        folder / "validation" / "queries.parquet",
        name=settings.name,
        split="val",
        method=method,
        seed=settings.seed,
    )
    write_metrics(metrics, folder / "metrics.json")
    print_metrics(metrics, f"{settings.name}: validation, best checkpoint", product_notes(evaluation.per_query))
    return evaluation, metrics
