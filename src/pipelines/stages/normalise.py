"""Normalise: the bundle's preprocessing, in threads; a picture that cannot be decoded is a row with a reason."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from src.contracts.image_errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedImageError
from src.contracts.pixel_box import fractions_of
from src.contracts.preprocessing import preprocess
from src.pipelines.job import Job
from src.pipelines.stages.rows import Stage, with_columns

__all__ = ["normalise_stage"]

_REASONS = {CorruptImageError: "corrupt", ImageTooLargeError: "too_large", UnsupportedImageError: "unsupported"}


def normalise_stage(job: Job) -> Stage:
    """Sets `pixels` of rows that are new and without a reason, and drops all `data`."""
    spec = job.spec

    def normalised(row: dict[str, object]) -> tuple[bytes | None, str | None, str | None]:
        if row["state"] != "new" or row["reason"] is not None:
            return None, row["reason"], row["detail"]  # type: ignore[return-value]
        data, box = row["data"], row["box"]
        try:
            part = None if box is None else fractions_of(tuple(box), data)  # type: ignore[arg-type]
            return preprocess(data, spec, box=part).tobytes(), None, None  # type: ignore[arg-type]
        except ImageError as error:
            return None, _REASONS.get(type(error), "corrupt"), str(error)

    def normalise(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(job.decode_threads) as pool:
            for batch in batches:
                rows = batch.select(["state", "reason", "detail", "data", "box"]).to_pylist()
                found = list(pool.map(normalised, rows))
                pixels, reasons, details = map(list, zip(*found, strict=True))
                nothing = pa.nulls(len(batch), pa.binary())
                yield with_columns(batch, pixels=pixels, reason=reasons, detail=details, data=nothing)

    return normalise
