"""One contestant of benchmarks/metrics_scale.py, in a process of its own; needs nothing of ours but for `ours`."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[], dict[str, float]]


def ours(vectors: np.ndarray, labels: np.ndarray, queries: int, memory_mb: int) -> Run:
    """evaluate_embedded: all metrics, the results of each query, and the table of queries."""
    from src.eval.embedded import Embedded
    from src.eval.evaluation import evaluate_embedded
    from src.eval.protocol import Protocol

    ids = (np.arange(len(vectors)).astype(str).astype(object), labels.astype(str).astype(object))
    everything = Embedded(vectors, *ids)
    asking = everything.take(np.arange(queries))
    return lambda: dict(evaluate_embedded(asking, everything, Protocol(level="image"), memory_mb=memory_mb).metrics)


def pytorch_metric_learning(vectors: np.ndarray, labels: np.ndarray, queries: int, memory_mb: int) -> Run:
    """AccuracyCalculator with all of its metrics but those of clusterings; k=None would keep the whole ranking."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    calculator = AccuracyCalculator(exclude=("NMI", "AMI"), k="max_bin_count", device=torch.device("cpu"))
    tensors = torch.from_numpy(vectors), torch.from_numpy(labels)
    asking = tuple(tensor[:queries] for tensor in tensors)
    return lambda: dict(calculator.get_accuracy(*asking, *tensors, ref_includes_query=True))


def open_metric_learning(vectors: np.ndarray, labels: np.ndarray, queries: int, memory_mb: int) -> Run:
    """batched_knn and calc_retrieval_metrics, as EmbeddingMetrics calls them."""
    import torch
    from oml.functional.knn import batched_knn
    from oml.functional.metrics import calc_retrieval_metrics

    embeddings, targets = torch.from_numpy(vectors), torch.from_numpy(labels)
    rows = torch.arange(len(vectors))

    def run() -> dict[str, float]:
        _, retrieved, truth = batched_knn(embeddings, rows[:queries], rows, top_n=10, labels_gt=targets)
        metrics = calc_retrieval_metrics(
            retrieved,
            truth,
            cmc_top_k=(1, 5, 10),
            precision_top_k=(1, 5, 10),
            map_top_k=(10,),
            verbose=False,
        )
        return {f"{name}@{k}": float(value) for name, values in metrics.items() for k, value in values.items()}

    return run


CONTESTANTS = {
    "ours": ours,
    "pytorch-metric-learning": pytorch_metric_learning,
    "open-metric-learning": open_metric_learning,
}


def main(name: str, folder: str, queries: str, memory_mb: str) -> None:
    """Print one line of JSON: seconds, peak memory in MiB beyond what was there before, and the metrics."""
    vectors, labels = (np.load(Path(folder) / f"{part}.npy") for part in ("vectors", "labels"))
    run = CONTESTANTS[name](vectors, labels, int(queries), int(memory_mb))
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = _status("VmRSS"), time.perf_counter()
    metrics = run()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": (_status("VmHWM") - before) / 1024, "metrics": metrics}))


def _status(field: str) -> int:
    """A figure of Linux's about this process, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
