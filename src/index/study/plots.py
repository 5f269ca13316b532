"""The plots of a study: recall against time and against memory."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from src.contracts.atomic_file import atomic_file

__all__ = ["write_plots"]

_MARKERS = "osD^v<>PX*hp"


def write_plots(points: list[dict[str, Any]], folder: Path) -> None:
    """Write `recall_latency.svg`, `recall_bytes.svg` and, with categories, `worst_category_latency.svg`."""
    _plot(points, folder / "recall_latency.svg", "p50_ms", "recall_at_10", "p50 of a query on one thread, ms")
    _plot(points, folder / "recall_bytes.svg", "bytes_per_vector", "recall_at_10", "bytes per vector")
    if all("worst_recall" in point for point in points):
        path = folder / "worst_category_latency.svg"
        _plot(points, path, "p50_ms", "worst_recall", "p50 of a query on one thread, ms")


def _plot(points: list[dict[str, Any]], path: Path, across: str, up: str, label: str) -> None:
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    for number, name in enumerate(dict.fromkeys(point["index"] for point in points)):
        front = _front([(point[across], point[up]) for point in points if point["index"] == name])
        marker = _MARKERS[number % len(_MARKERS)]
        axes.plot(*zip(*front, strict=True), marker=marker, markersize=4, linewidth=1, label=name, color=f"C{number}")
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel("recall@10" if up == "recall_at_10" else "recall@10 of the worst category")
    axes.grid(visible=True, which="both", linewidth=0.3)
    axes.legend(fontsize=8, loc="lower right")
    # Without a date and with fixed ids, equal figures give equal files.
    with plt.rc_context({"svg.hashsalt": "study"}), atomic_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    plt.close(figure)


def _front(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other of the same index beats in both."""
    front: list[tuple[float, float]] = []
    for pair in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not front or pair[1] > front[-1][1]:
            front.append(pair)
    return front
