"""The summary of a run: one JSON file for programs, one HTML page with pictures for people."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from src.catalog.catalogue import Catalogue
from src.catalog.quality import EXPLANATIONS
from src.contracts.preprocessing import ImageError, PreprocessingSpec
from src.pipelines.job import joined
from src.search.pictures import thumbnail

__all__ = ["Summary", "last_summary", "write_summary"]

_SIDE = 96
_FURTHER = {
    "worker_died": "decoding it ended the process",
    "copy": "the same content as an older image",
    "not_gallery": "a query of the catalogue, which nobody searches for",
}


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        run: its number.
        started_at: ISO 8601, UTC.
        seconds: that it took.
        engine: what ran the stages.
        encoder_id: whose embeddings these are.
        bundle: folder of the bundle that was built; empty where none was.
        rows: of the catalogue.
        counts: where these rows are now: `out`, `quarantined:REASON`, `dropped:RULE`, `lost`.
        done: what this run did with rows: `embedded`, `normalised`, `unchanged`, `touched`, `reason:CODE`.
        images_per_second: rows that were looked at, by the time of the stages.
        failure: why the gate or the bundle failed; empty where they did not.
    """

    run: int
    started_at: str
    seconds: float
    engine: str
    encoder_id: str
    bundle: str
    rows: int
    counts: Mapping[str, int]
    done: Mapping[str, int]
    images_per_second: float
    failure: str


def write_summary(
    output: str, summary: Summary, catalogue: Catalogue, samples: Mapping[str, Sequence[int]]
) -> tuple[str, str]:
    """Write `summary.json` and `summary.html` to `output/runs/NUMBER/`.

    Args:
        output: folder or URI of the tables.
        summary: of the run.
        catalogue: where the pictures are.
        samples: rows of the catalogue to show, by reason of quarantine.

    Returns:
        The paths of `summary.json` and `summary.html`.
    """
    folder = joined(output, "runs", f"{summary.run:06d}")
    backend, path = fsspec.core.url_to_fs(folder)
    backend.makedirs(path, exist_ok=True)
    written = []
    for name, text in (("summary.json", _json(summary)), ("summary.html", _page(summary, catalogue, samples))):
        backend.pipe_file(f"{path}/{name}", text.encode())
        written.append(joined(folder, name))
    return written[0], written[1]


def last_summary(output: str) -> int:
    """The number of the last run that wrote a summary; 0 where none did."""
    backend, path = fsspec.core.url_to_fs(joined(output, "runs"))
    names = [
        found.rstrip("/").rpartition("/")[2]
        for found in (backend.ls(path, detail=False) if backend.exists(path) else [])
    ]
    return max((int(name) for name in names if name.isdigit()), default=0)


def _json(summary: Summary) -> str:
    return json.dumps(asdict(summary), indent=1, sort_keys=True) + "\n"


def _page(summary: Summary, catalogue: Catalogue, samples: Mapping[str, Sequence[int]]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    reasons = []
    for name, count in summary.counts.items():
        status, _, reason = name.partition(":")
        if reason:
            pictures = [_picture(catalogue, row) for row in samples.get(reason, [])] if status == "quarantined" else []
            meaning = _FURTHER.get(reason) or EXPLANATIONS.get(reason, "")  # type: ignore[call-overload]
            reasons.append({"status": status, "reason": reason, "count": count, "what": meaning, "pictures": pictures})
    return environment.get_template("summary.html.jinja").render(summary=asdict(summary), reasons=reasons)


def _picture(catalogue: Catalogue, row: int) -> dict[str, Any]:
    """A row's picture as a data URI; without one where it cannot be decoded."""
    shown = PreprocessingSpec(size=_SIDE, resize="pad")
    source = None
    try:
        jpeg = thumbnail(np.ascontiguousarray(catalogue.picture(row, spec=shown)), _SIDE)
        source = "data:image/jpeg;base64," + b64encode(jpeg).decode()
    except ImageError:
        pass
    return {"source": source, "image_id": catalogue.items["image_id"][row].as_py()}
