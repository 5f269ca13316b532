"""What `python export.py` does: turn a checkpoint into a bundle."""

from pathlib import Path

from src.catalog.catalogue import open_catalogue
from src.contracts.bundle import refuse_foreign
from src.contracts.settings import ExportSettings, complete_data
from src.eval.evaluation import read_metrics
from src.export.builder import build_bundle
from src.export.triton import check_triton, write_triton
from src.models.checkpoint import load_encoder
from src.tracking.artifacts import log_bundle

__all__ = ["export"]


def export(settings: ExportSettings) -> None:
    """Write the bundle, and what was asked for beside it, and print where they are.

    Args:
        settings: checked; the checkpoint completes `data`.

    Raises:
        BundleError: `output` holds something that is no bundle.
        GateError: the exported encoder or the index misses a limit.
    """
    checkpoint, output = Path(settings.checkpoint), Path(settings.output)
    refuse_foreign(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    if settings.triton:
        check_triton(Path(settings.triton))
    encoder, spec, card = load_encoder(checkpoint)
    bundle = build_bundle(
        output,
        encoder=encoder,
        spec=spec,
        card=card,
        catalogue=open_catalogue(complete_data(settings.data, card["data"], trust=settings.trust)),
        index=settings.index,
        evaluation=read_metrics((checkpoint if checkpoint.is_dir() else checkpoint.parent.parent) / "metrics.json"),
        precision=settings.precision,
        index_precision=settings.index_precision,
        engines=settings.engines,
        engine_batch=settings.engine_batch,
        gates=settings.gates,
        parity_images=settings.parity_images,
        overlap_images=settings.overlap_images,
        calibration_images=settings.calibration_images,
        thumbnail=settings.thumbnail,
        batch=settings.batch,
    )
    print(f"bundle: {bundle.root} ({bundle.bundle_id[:16]})")
    if settings.track:
        log_bundle(bundle, checkpoint, card)
    if settings.triton:
        models = write_triton(bundle, Path(settings.triton), batch=settings.engine_batch)
        print(f"triton: {settings.triton} ({', '.join(models)})")
    print(f"serve it: make serve BUNDLE={bundle.root}")
