"""Check and normalise: is a picture fit for search, and its pixels; what is not is a row with a reason.

One stage for the two, since decoding costs more than either: a picture is decoded once for both.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from src.catalog.quality import QualityLimits, judge, judge_pixels, reason_of
from src.contracts.image_errors import ImageError
from src.contracts.image_header import read_header
from src.contracts.pixel_box import fractions_of
from src.contracts.preprocessing import PreprocessingSpec, cut, decode, resize
from src.pipelines.job import Job
from src.pipelines.stages.rows import Stage, with_columns

__all__ = ["normalise_stage"]

_JUDGED_SIDE = 128
"""Smallest `size` at which a picture that is decoded for it is large enough to be judged: it has twice as many."""


def normalise_stage(job: Job) -> Stage:
    """Sets `pixels` of rows that are new and without a reason, and drops all `data`."""
    spec = job.spec
    limits = None if job.rules is None else QualityLimits(**job.rules)

    def normalised(row: dict[str, object]) -> tuple[bytes | None, str | None, str | None]:
        if row["state"] != "new" or row["reason"] is not None:
            return None, row["reason"], row["detail"]  # type: ignore[return-value]
        return _normalised(row["data"], row["box"], spec, limits)  # type: ignore[arg-type]

    def normalise(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(job.decode_threads) as pool:
            for batch in batches:
                rows = batch.select(["state", "reason", "detail", "data", "box"]).to_pylist()
                found = list(pool.map(normalised, rows))
                pixels, reasons, details = map(list, zip(*found, strict=True))
                nothing = pa.nulls(len(batch), pa.binary())
                yield with_columns(batch, pixels=pixels, reason=reasons, detail=details, data=nothing)

    return normalise


def _normalised(
    data: bytes, box: list[float] | None, spec: PreprocessingSpec, limits: QualityLimits | None
) -> tuple[bytes | None, str | None, str | None]:
    """Pixels, or reason and detail."""
    corners = None if box is None else (box[0], box[1], box[2], box[3])
    try:
        header = read_header(data)
        part = None if corners is None else fractions_of(corners, data)
        picture = decode(data, spec=spec, box=part)
        if part is not None:
            picture = cut(picture, part)
    except ImageError as error:
        return None, str(reason_of(error)), str(error)
    if limits is not None:
        if spec.size >= _JUDGED_SIDE:
            width, height = (1.0, 1.0) if part is None else part[2:]
            sides = max(1, round(header.width * width)), max(1, round(header.height * height))
            finding = judge_pixels(picture, *sides, limits)
        else:
            finding = judge(data, limits, box=corners)
        if finding.reason is not None:
            return None, str(finding.reason), finding.message
    return resize(picture, spec).tobytes(), None, None
