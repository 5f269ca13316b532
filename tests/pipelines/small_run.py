"""A small shop, a bundle that is an encoder alone, and a run of the batch over them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from src.contracts.bundle import ENCODER, GOLDEN, staged_bundle
from src.contracts.settings import DataSettings, IndexSettings, ShopSettings
from src.export.runtime import OnnxEncoder
from src.export.runtime.golden import write_golden
from src.pipelines.run import run_batch
from src.pipelines.settings import BatchSettings, EngineSettings
from src.pipelines.summary import Summary
from tests.search.small_bundle import DIM, SPEC, write_encoder

IN_PROCESS = EngineSettings(task_rows=16, batch=8, commit_rows=40)


def write_encoder_bundle(root: Path, *, encoder_id: str = "colour-grid") -> Path:
    """A bundle without an index."""
    with staged_bundle(root) as draft:
        write_encoder(draft.root / ENCODER)
        write_golden(draft.root / GOLDEN, SPEC, OnnxEncoder(draft.root / ENCODER, threads=1).embed_with_norms)
        draft.content |= {
            "preprocessing": SPEC.to_dict(),
            "encoder_id": encoder_id,
            "dim": DIM,
            "metric": "cosine",
            "precision": "fp32",
            "catalogue": {"name": "test"},
            "config": {"name": "test"},
        }
        draft.measured |= {"parity": {}, "evaluation": {}, "engines": {}}
    return root


def shop_settings(root: Path, data_settings: Any) -> DataSettings:
    shop = ShopSettings(parents=20, seed=0, image_size=64, sessions=50)
    settings: DataSettings = data_settings(reader="shop", root=str(root), shop=shop)
    return settings


def run(bundle: Path, output: Path | str, data: DataSettings, **changes: Any) -> Summary:
    arguments: dict[str, Any] = {
        "runtime": "onnxruntime",
        "engine": IN_PROCESS,
        "max_quarantined": 1.0,
        "index": IndexSettings(min_recall=0.0),
    }
    settings = BatchSettings(bundle=str(bundle), output=str(output), data=data, **{**arguments, **changes})
    settings.check()
    return run_batch(settings)


def rows_of(output: Path | str, table: str, *, without: tuple[str, ...] = ("created_at",)) -> list[dict[str, Any]]:
    """A table's rows in a fixed order, without what differs from run to run."""
    found: pa.Table = DeltaTable(f"{output}/{table}").to_pyarrow_table()
    kept = found.drop_columns([name for name in without if name in found.column_names])
    return sorted(kept.to_pylist(), key=lambda row: (row["image_id"], str(row)))


__all__ = ["IN_PROCESS", "asdict", "rows_of", "run", "shop_settings", "write_encoder_bundle"]
