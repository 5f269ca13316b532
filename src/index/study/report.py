"""The tables of a study."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from src.contracts.atomic_file import atomic_file, write_atomically

__all__ = ["TARGETS", "at_recall", "markdown", "write_tables"]

TARGETS = (0.9, 0.95, 0.99)
"""Recalls at which indexes are compared."""


def write_tables(points: list[dict[str, Any]], folder: Path) -> None:
    """Write `table.parquet` (a row a point) and `table.md` (the quickest point of each index at equal recall)."""
    rows = [{**point, **_flat_effort(point["effort"])} for point in points]
    for row in rows:
        del row["effort"]
        # A list, not a struct: the categories of a catalogue are many and no two catalogues share them.
        row["categories"] = sorted(row.get("categories", {}).items())
    schema = pa.map_(pa.string(), pa.float64())
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {
        name: pa.array([row.get(name) for row in rows], schema if name == "categories" else None) for name in names
    }
    with atomic_file(folder / "table.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary)
    write_atomically(folder / "table.md", markdown(points))


def at_recall(points: list[dict[str, Any]], target: float) -> list[dict[str, Any]]:
    """The quickest point (by p50) of each index that reaches a recall@10, quickest first."""
    best: dict[str, dict[str, Any]] = {}
    for point in points:
        kept = best.get(point["index"])
        if point["recall_at_10"] >= target and (kept is None or point["p50_ms"] < kept["p50_ms"]):
            best[point["index"]] = point
    return sorted(best.values(), key=lambda point: float(point["p50_ms"]))


def markdown(points: list[dict[str, Any]]) -> str:
    """A table for each recall of `TARGETS`, naming the indexes that never reach it."""
    parts = []
    names = list(dict.fromkeys(point["index"] for point in points))
    for target in TARGETS:
        reached = at_recall(points, target)
        missed = [name for name in names if name not in {point["index"] for point in reached}]
        lines = [f"recall@10 >= {target}", ""]
        lines += ["| index | effort | recall@10 | worst category | p50 ms | p99 ms | bytes/vector | build CPU s |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |", *map(_line, reached)]
        if missed:
            lines += ["", f"Not reached by {', '.join(missed)}."]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(point: dict[str, Any]) -> str:
    worst = f"{point['worst_recall']:.3f} ({point['worst_category']})" if "worst_recall" in point else "-"
    cells = [point["index"], _words(point["effort"]), f"{point['recall_at_10']:.4f}", worst, f"{point['p50_ms']:.3f}"]
    cells += [f"{point['p99_ms']:.3f}", f"{point['bytes_per_vector']:.0f}", f"{point['build_cpu_s']:.0f}"]
    return f"| {' | '.join(cells)} |"


def _words(effort: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in effort.items()) or "-"


def _flat_effort(effort: dict[str, float]) -> dict[str, float | None]:
    return {name: effort.get(name) for name in ("ef_search", "nprobe", "k_factor")}
