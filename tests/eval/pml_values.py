"""pytorch-metric-learning's figures, from a process of their own.

Its evaluation imports faiss.contrib.torch_utils, which replaces methods of FAISS in all of the process.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np


def by_pytorch_metric_learning(vectors: np.ndarray, labels: np.ndarray, k: int | str | None) -> dict[str, float]:
    """Leave-one-out figures of its AccuracyCalculator."""
    return _process().submit(_calculate, vectors, labels, k).result(timeout=120)


def _process() -> ProcessPoolExecutor:
    if not _PROCESSES:
        _PROCESSES.append(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
    return _PROCESSES[0]


_PROCESSES: list[ProcessPoolExecutor] = []


def _calculate(vectors: np.ndarray, labels: np.ndarray, k: int | str | None) -> dict[str, float]:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    names = ("precision_at_1", "r_precision", "mean_average_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=(*names, "mean_reciprocal_rank"), k=k, device=torch.device("cpu"))
    found = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels.copy()))
    return {name: float(value) for name, value in found.items()}
