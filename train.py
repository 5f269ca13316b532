"""Train an encoder: python train.py experiment=NAME [overrides] [hydra.run.dir=DIR]."""

from dataclasses import asdict
from pathlib import Path

import lightning
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate

from src.catalog.catalogue import open_catalogue
from src.catalog.leakage import check_leakage
from src.commandline import command
from src.contracts.settings import TrainSettings
from src.datamodules.catalogue_datamodule import CatalogueDataModule, check_batch_fits
from src.datamodules.training_set import training_set
from src.eval.confidence import confidence_metrics
from src.eval.evaluation import evaluate_split, print_metrics, write_metrics
from src.eval.per_query import write_queries
from src.eval.validation import RetrievalValidation, validation_rows
from src.losses.build import build_objective
from src.miners.build import add_hard_negatives
from src.models.checkpoint import load_encoder, make_card, method_of
from src.models.inference import embedder
from src.models.last_checkpoint import last_checkpoint
from src.models.metric_learning import MetricLearning
from src.models.pca_initialisation import initialise_pca_head
from src.models.trainer import build_trainer, fit
from src.models.warm_start import initial_encoder
from src.sweeps.report import study_reports
from src.tracking.loggers import run_arguments, run_config, tracked
from src.tracking.result import log_result


def train(settings: TrainSettings, folder: Path) -> Path | None:
    """Train into a folder, evaluate the best checkpoint on the validation split, write metrics.json.

    Returns:
        The best checkpoint; None in processes other than the first, which end after training.
    """
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    data, trainer_settings = settings.data, asdict(settings.trainer)
    eval_batch, chunk, compiled, resume = (
        trainer_settings.pop(name) for name in ("eval_batch", "chunk", "compile", "resume")
    )

    catalogue = open_catalogue(data, need_gallery=True)
    # Checked before images are read for the leakage check, and again after copies were removed.
    check_batch_fits(len(catalogue.train_rows()), p=data.p, k=data.k)
    catalogue = check_leakage(
        catalogue,
        leakage=data.leakage,
        cache=Path(data.cache),
        table=folder / "leakage.csv",
    )
    images, rows = training_set(catalogue), validation_rows(catalogue)
    datamodule = CatalogueDataModule(
        catalogue,
        images,
        spec=settings.preprocessing,
        val_rows=rows,
        sampler=instantiate(settings.sampler),
        p=data.p,
        k=data.k,
        augmentation=data.augmentation,
        workers=data.workers,
        eval_batch=eval_batch,
        cache=Path(data.cache),
        seed=settings.seed,
    )
    card = make_card(settings)
    last = last_checkpoint(folder, card) if resume else None
    encoder = initial_encoder(spec=settings.preprocessing, **asdict(settings.model))
    initialise_pca_head(encoder, datamodule.training_pixels, batch=eval_batch)
    objective = build_objective(
        settings.loss, settings.miner, make=instantiate, images=images, dim=encoder.dim, **asdict(settings.objective)
    )
    target, searches = add_hard_negatives(
        objective,
        datamodule,
        catalogue,
        images,
        clicks=settings.clicks,
        neighbours=settings.neighbours,
        batch=eval_batch,
    )
    module = MetricLearning(encoder, objective=target, card=card, chunk=chunk, **asdict(settings.optim))
    loggers = [instantiate(logger, **run_arguments(logger, card)) for logger in settings.logger.values()]
    with tracked(loggers, run_config(settings, card), continued=last is not None):
        callbacks = [RetrievalValidation(catalogue, rows), *searches, *study_reports(folder)]
        trainer = build_trainer(folder=folder, loggers=loggers, callbacks=callbacks, **trainer_settings)
        checkpoint = fit(trainer, module, datamodule, epochs=settings.trainer.epochs, resume=last, compiled=compiled)
        if not trainer.is_global_zero:
            return None

        encoder, spec, _ = load_encoder(checkpoint)
        evaluation = evaluate_split(catalogue, "val", spec, embedder(encoder), batch=eval_batch)
        metrics = evaluation.metrics | confidence_metrics(evaluation)
        write_queries(
            evaluation.per_query,
            folder / "validation" / "queries.parquet",
            name=settings.name,
            split="val",
            method=method_of(card),
            seed=settings.seed,
        )
        write_metrics(metrics, folder / "metrics.json")
        print_metrics(metrics, f"{settings.name}: validation, best checkpoint")
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


@command(TrainSettings, "train", shown="experiment=demo")
def main(settings: TrainSettings) -> None:
    """Train in the run's folder."""
    checkpoint = train(settings, Path(HydraConfig.get().runtime.output_dir))
    if checkpoint:
        print(f"checkpoint: {checkpoint}")


if __name__ == "__main__":
    main()
