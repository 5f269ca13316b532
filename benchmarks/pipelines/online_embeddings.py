"""Embeddings looked up by id, three ways: python -m benchmarks.pipelines.online_embeddings.

From the file that `src.pipelines.store online` writes; from the Delta table itself, with a condition on the id; and
from DuckDB over the table's Parquet files. One id at a time, and a hundred at once; medians and 99th percentiles.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from src.contracts.exit_codes import exit_with_message
from src.contracts.tables import pack_vectors
from src.pipelines.embeddings_table import Lineage, append_embeddings, open_embeddings
from src.pipelines.online_embeddings import OnlineEmbeddings, write_online_embeddings

_ENCODER = "benchmark"


def main() -> None:
    """Write a table, then the file; print what look-ups take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--look-ups", type=int, default=300, help="of each way and size")
    options = parser.parse_args()
    with exit_with_message(), tempfile.TemporaryDirectory() as folder:
        root, file = Path(folder) / "embeddings", Path(folder) / "online.sqlite"
        names = [f"image-{number:09d}" for number in range(options.images)]
        _write(root, names, options.dim)
        table = open_embeddings(root)
        start = time.perf_counter()
        write_online_embeddings(table, file, encoder_id=_ENCODER)
        seconds, size = time.perf_counter() - start, file.stat().st_size
        print(f"{options.images} images, dim {options.dim}; file: written in {seconds:.1f} s, {size / 2**20:.0f} MiB\n")
        print("| | one id: median ms | P99 ms | 100 ids: median ms | P99 ms |\n| --- | ---: | ---: | ---: | ---: |")
        files = table.file_uris()
        with OnlineEmbeddings(file, encoder_id=_ENCODER) as online, duckdb.connect() as engine:

            def in_duckdb(ids: list[str]) -> int:
                query = "SELECT image_id, vector FROM read_parquet($files) WHERE image_id IN (SELECT unnest($ids))"
                return len(engine.execute(query, {"files": files, "ids": ids}).fetchall())

            def in_delta(ids: list[str]) -> int:
                chosen = ", ".join(f"'{image}'" for image in ids)
                rows = table.scan(columns=["image_id", "vector"], predicate=f"image_id IN ({chosen})")
                return sum(batch.num_rows for batch in rows)

            ways: dict[str, Callable[[list[str]], int]] = {
                "the file": lambda ids: int(online.vectors(ids)[1].sum()),
                "DuckDB over the table's files": in_duckdb,
                "the Delta table": in_delta,
            }
            for name, way in ways.items():
                count = options.look_ups if name == "the file" else max(options.look_ups // 10, 2)
                cells = [f"{figure:.2f}" for size in (1, 100) for figure in _times(way, names, size, count)]
                print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _times(way: Callable[[list[str]], int], names: list[str], size: int, count: int) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    rng = np.random.default_rng(size)
    taken = []
    for _ in range(count):
        ids = [names[number] for number in rng.choice(len(names), min(size, len(names)), replace=False)]
        start = time.perf_counter()
        assert way(ids) == len(ids)
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken)), float(np.quantile(taken, 0.99))


def _write(root: Path, names: list[str], dim: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(names), dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    count = len(names)
    rows = pa.table(
        {
            "image_id": names,
            "item_id": names,
            "encoder_id": [_ENCODER] * count,
            "content_hash": names,
            "event_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * count, pa.timestamp("us", tz="UTC")),
            "dim": pa.array([dim] * count, pa.int32()),
            "vector": pack_vectors(vectors),
            "norm": pa.array([1.0] * count, pa.float32()),
        }
    )
    lineage = Lineage(run_id="benchmark", bundle_id=None, source="random numbers", source_version=None)
    append_embeddings(root, rows, batch_id="benchmark", lineage=lineage)


if __name__ == "__main__":
    main()
