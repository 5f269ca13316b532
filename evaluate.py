"""Evaluate: python evaluate.py checkpoint=PATH | embeddings=FILE | baseline=NAME, output=DIR."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from src.catalog.catalogue import open_catalogue
from src.commandline import command
from src.contracts.settings import EvaluateSettings, complete_data
from src.eval.baselines import open_baseline
from src.eval.confidence import confidence_metrics
from src.eval.evaluation import evaluate_embedded, evaluate_split, print_metrics, write_metrics
from src.eval.hard_cases import write_hard_cases
from src.eval.per_query import about_queries, write_queries
from src.eval.pictures import draw_results
from src.eval.protocol import protocol_of
from src.eval.rerank_report import measure_reranking, print_reranking, write_reranking
from src.eval.slices import print_slices, slice_queries, write_slices
from src.eval.subject import open_subject
from src.eval.vectors_file import read_vectors


@command(EvaluateSettings, "evaluate", completed_later="data")
def main(settings: EvaluateSettings) -> None:
    """Write metrics.json, queries.parquet, slices.parquet, hard_cases.json and, where it can, a picture of results."""
    output = Path(settings.output)
    if settings.embeddings:
        evaluation = evaluate_embedded(
            *read_vectors(Path(settings.embeddings)), protocol_of(settings), memory_mb=settings.memory_mb
        )
        title = settings.embeddings
        about: dict[str, Any] = {"name": Path(settings.embeddings).stem, "split": None, "method": None, "seed": None}
    else:
        trained = open_subject(settings.checkpoint) if settings.checkpoint else None
        catalogue = open_catalogue(complete_data(settings.data, trained.trained_on if trained else None))
        subject = trained or open_baseline(
            str(settings.baseline),
            catalogue,
            seed=settings.seed,
            batch=settings.batch,
            model=asdict(settings.model),
            spec=settings.preprocessing,
        )
        split = settings.split or catalogue.test_split()
        evaluation = evaluate_split(
            catalogue,
            split,
            subject.spec,
            subject.embed,
            protocol=protocol_of(settings),
            roles=settings.roles,
            batch=settings.batch,
            memory_mb=settings.memory_mb,
        )
        title = f"{subject.name}: {split} split"
        about = {"name": subject.name, "split": split, "method": subject.method, "seed": subject.seed}
        if settings.pictures:
            draw_results(catalogue, evaluation, output / "results.png", queries=settings.pictures)
    write_queries(evaluation.per_query, output / "queries.parquet", **about)
    write_hard_cases(evaluation.per_query, output / "hard_cases.json")
    metrics = evaluation.metrics | confidence_metrics(
        evaluation, resamples=settings.resamples, confidence=settings.confidence
    )
    write_metrics(metrics, output / "metrics.json")
    print_metrics(metrics, title)
    if settings.resamples:
        slices = slice_queries(evaluation.per_query, settings.slices, confidence=settings.confidence)
        names = about_queries(evaluation.per_query)["metrics"]
        write_slices(slices, names, output / "slices.parquet")
        print_slices(slices, names[0])
    if settings.rerank.stages:
        reranked = measure_reranking(evaluation, protocol_of(settings), settings.rerank, memory_mb=settings.memory_mb)
        write_reranking(reranked, output / "rerank.json")
        print_reranking(reranked)
    print(f"metrics: {output / 'metrics.json'}")


if __name__ == "__main__":
    main()
