"""What `python evaluate.py` does: evaluate a checkpoint, a baseline or a file of vectors, and write the results."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings import EvaluateSettings, complete_data
from src.contracts.settings.evaluate import ROBUSTNESS
from src.eval.baselines import open_baseline
from src.eval.calibration import LEAST_PRODUCTS, LEAST_QUERIES, Calibrated, fit_confidence, measure_calibration
from src.eval.confidence import confidence_metrics
from src.eval.evaluated_model import EvaluatedModel, open_evaluated_model
from src.eval.evaluation import Evaluation, evaluate_embedded, evaluate_split, print_metrics, write_metrics
from src.eval.explanations.explained_results import Explained, explain_worst
from src.eval.first_results import first_results
from src.eval.hard_cases import write_hard_cases
from src.eval.per_query import about_queries, write_queries
from src.eval.pictures import draw_results
from src.eval.product_notes import product_notes
from src.eval.protocol import protocol_of
from src.eval.report.build import write_report
from src.eval.rerank_report import measure_reranking, print_reranking, write_reranking
from src.eval.robustness import Robustness, measure_robustness, print_robustness, write_robustness
from src.eval.slices import Slice, print_slices, slice_queries, write_slices
from src.eval.vectors_file import read_vectors

__all__ = ["evaluate"]


def evaluate(settings: EvaluateSettings) -> None:
    """Write metrics.json, queries.parquet, slices.parquet, hard_cases.json, report.html and a picture of results.

    Args:
        settings: checked; `data` may be incomplete where a checkpoint completes it.
    """
    output = Path(settings.output)
    output.mkdir(parents=True, exist_ok=True)  # An output that cannot be made is known before the images are read.
    evaluation, about, catalogue, model = _of_vectors(settings) if settings.embeddings else _of_images(settings)
    title = f"{about['name']}: {about['split']} split" if about["split"] else about["name"]
    write_queries(evaluation.per_query, output / "queries.parquet", **about)
    cases = write_hard_cases(evaluation.per_query, output / "hard_cases.json")
    measured = confidence_metrics(evaluation, confidence=settings.confidence) if settings.resamples else {}
    metrics = evaluation.metrics | measured
    calibrated = _calibrated(settings, catalogue, model, evaluation)
    if calibrated is not None:
        metrics |= calibrated.metrics
    notes = product_notes(evaluation.per_query) if settings.resamples else []
    write_metrics(metrics, output / "metrics.json")
    print_metrics(metrics, title, notes)
    slices: list[Slice] = []
    if settings.resamples:
        slices = slice_queries(evaluation.per_query, settings.slices, confidence=settings.confidence)
        names = about_queries(evaluation.per_query)["metrics"]
        write_slices(slices, names, output / "slices.parquet")
        print_slices(slices, names[0])
    if settings.rerank.stages:
        reranked = measure_reranking(
            evaluation,
            protocol_of(settings),
            settings.rerank,
            resamples=settings.resamples,
            memory_mb=settings.memory_mb,
        )
        write_reranking(reranked, output / "rerank.json")
        print_reranking(reranked)
    robust = _robustness(settings, catalogue, model, evaluation)
    if robust:
        write_robustness(robust, output / "robustness.json")
        print_robustness(robust)
    if settings.pictures and catalogue:
        draw_results(catalogue, evaluation, output / "results.png", queries=settings.pictures)
    print(f"metrics: {output / 'metrics.json'}")
    if settings.report:
        write_report(
            output / "report.html",
            title=title,
            evaluation=evaluation,
            metrics=metrics,
            slices=slices,
            hard_cases=cases,
            confidence=settings.confidence,
            notes=notes,
            config=about,
            catalogue=catalogue,
            explained=_explained(settings, catalogue, evaluation, model),
            map_images=settings.map_images,
            calibrated=calibrated,
            robustness=robust,
        )
        print(f"report: {output / 'report.html'}")


def _of_vectors(settings: EvaluateSettings) -> tuple[Evaluation, dict[str, Any], None, None]:
    """Evaluate a file of vectors."""
    path = Path(str(settings.embeddings))
    evaluation = evaluate_embedded(*read_vectors(path), protocol_of(settings), memory_mb=settings.memory_mb)
    return evaluation, {"name": path.stem, "split": None, "method": None, "seed": None}, None, None


def _of_images(settings: EvaluateSettings) -> tuple[Evaluation, dict[str, Any], Catalogue, EvaluatedModel]:
    """Embed a split's images with a checkpoint or a baseline, and evaluate them."""
    trained = open_evaluated_model(settings.checkpoint) if settings.checkpoint else None
    trained_on = trained.trained_on if trained else None
    catalogue = open_catalogue(complete_data(settings.data, trained_on, trust=settings.trust))
    model = trained or open_baseline(
        str(settings.baseline),
        catalogue,
        seed=settings.seed,
        batch=settings.batch,
        model=asdict(settings.model),
        spec=settings.preprocessing,
    )
    split = settings.split or catalogue.test_split()
    if settings.calibrate == split:
        raise ConfigError(
            f"`calibrate={split}`: it is the split that is evaluated; set `split=` or `calibrate=` to another one"
        )
    evaluation = _of_split(settings, catalogue, model, split)
    about = {"name": model.name, "split": split, "method": model.method, "seed": model.seed}
    return evaluation, about, catalogue, model


def _of_split(settings: EvaluateSettings, catalogue: Catalogue, model: EvaluatedModel, split: str) -> Evaluation:
    return evaluate_split(
        catalogue,
        split,
        model.spec,
        model.embed,
        protocol=protocol_of(settings),
        roles=settings.roles,
        batch=settings.batch,
        memory_mb=settings.memory_mb,
    )


def _calibrated(
    settings: EvaluateSettings, catalogue: Catalogue | None, model: EvaluatedModel | None, evaluation: Evaluation
) -> Calibrated | None:
    """The probability that a first result is right, fitted on another split, on the queries of this one."""
    if settings.calibrate is None or catalogue is None or model is None:
        return None
    fitted = first_results(_of_split(settings, catalogue, model, settings.calibrate).per_query)
    measured = first_results(evaluation.per_query)
    assert fitted is not None, "the settings have level=item"
    assert measured is not None, "the settings have level=item"
    confidence = fit_confidence(fitted)
    if confidence is None:
        raise LookalikeError(
            f"`calibrate={settings.calibrate}`: {len(fitted)} queries of {len(set(fitted.products))} products; a "
            f"probability is fitted on at least {LEAST_QUERIES} of {LEAST_PRODUCTS}"
        )
    return measure_calibration(confidence, measured, confidence=settings.confidence)


def _robustness(
    settings: EvaluateSettings, catalogue: Catalogue | None, model: EvaluatedModel | None, evaluation: Evaluation
) -> list[Robustness]:
    """Recall@1 under the edits that were asked for."""
    if not settings.robustness or catalogue is None or model is None or model.spec is None:
        return []
    return measure_robustness(
        catalogue,
        evaluation,
        model.spec,
        model.embed,
        ROBUSTNESS if "all" in settings.robustness else settings.robustness,
        protocol_of(settings),
        batch=settings.batch,
        resamples=settings.resamples or 10_000,
        confidence=settings.confidence,
        memory_mb=settings.memory_mb,
    )


def _explained(
    settings: EvaluateSettings, catalogue: Catalogue | None, evaluation: Evaluation, model: EvaluatedModel | None
) -> list[Explained]:
    """The worst false positives, where a network made them."""
    if catalogue is None or model is None or model.encoder is None or model.spec is None:
        return []
    # Grad-CAM reads a feature map, and knows where those are that timm names.
    method = "grad_cam" if getattr(model.encoder.backbone, "feature_info", None) else "integrated_gradients"
    return explain_worst(catalogue, evaluation, model.encoder, model.spec, settings.explanations, method=method)
