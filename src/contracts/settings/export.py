"""Settings of `python export.py`."""

from dataclasses import dataclass, field

from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings

__all__ = ["PRECISIONS", "ExportSettings", "GateSettings", "IndexSettings"]

PRECISIONS = ("fp32", "fp16", "int8")
"""What the graph of an encoder may compute in."""

ENGINES = ("tensorrt", "rtx-sm75", "rtx-sm86", "rtx-sm89", "rtx-sm120")
"""TensorRT engines that can be built."""

_LEAST = {
    "parity_images": 2,
    "overlap_images": 20,
    "calibration_images": 8,
    "batch": 1,
    "thumbnail": 16,
    "engine_batch": 1,
}


@dataclass
class IndexSettings:
    """The vector index of a bundle.

    Attributes:
        layout: `exact`, `hnsw`, or `auto` (exact below 50,000 vectors).
        m: HNSW links per vector and level.
        ef_construction: HNSW candidates while building.
        ef_search: HNSW candidates while searching.
        min_recall: smallest recall@10 against exact search that may be exported.
    """

    layout: str = "auto"
    m: int = 32
    ef_construction: int = 200
    ef_search: int = 64
    min_recall: float = 0.95


@dataclass
class GateSettings:
    """How far an exported encoder may be from torch's, measured on catalogue images.

    Attributes:
        fp32_max_abs: largest difference of a number, of a float32 graph.
        fp32_centred_cosine: smallest cosine to torch's embedding after the mean is taken off both.
        fp16_cosine_distance: largest 1 - cosine of a float16 graph, and of a TensorRT engine of one.
        fp16_centred_cosine: as for fp32.
        int8_centred_cosine: as for fp32.
        batch_distance: largest 1 - cosine between an image embedded alone and in a batch.
        min_overlap: smallest share of the ten nearest by fp32 that are found with queries and gallery of a lower
            precision, or of two.
    """

    fp32_max_abs: float = 1e-5
    fp32_centred_cosine: float = 0.9999
    fp16_cosine_distance: float = 1e-4
    fp16_centred_cosine: float = 0.999
    int8_centred_cosine: float = 0.99
    batch_distance: float = 1e-4
    min_overlap: float = 0.98


@dataclass
class ExportSettings:
    """`python export.py`.

    Attributes:
        checkpoint: the encoder to export.
        output: the bundle's folder; an older bundle there is replaced, anything else is left alone.
        data: the catalogue to index; what the encoder was trained on unless overridden.
        index: the vector index.
        precision: what backbone and head compute in: `fp32`, `fp16` or `int8`.
        index_precision: what the gallery is embedded in; empty for that of the queries, `precision`.
        engines: TensorRT engines to build: `tensorrt` for this machine's GPU, `rtx-sm75`, `rtx-sm86`, `rtx-sm89` or
            `rtx-sm120` for TensorRT-RTX on such GPUs, which need not be here.
        engine_batch: largest batch of an engine.
        gates: limits; an encoder that misses one is not exported.
        parity_images: gallery images that the parity is measured on.
        overlap_images: gallery images that the overlap of neighbours is measured on, where a precision is not fp32.
        calibration_images: gallery images whose activations give the ranges of `int8`.
        thumbnail: longer side of the pictures that the service shows, in pixels.
        batch: images embedded at once.
    """

    checkpoint: str = MISSING
    output: str = MISSING
    data: DataSettings = field(default_factory=DataSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    precision: str = "fp32"
    index_precision: str = ""
    engines: list[str] = field(default_factory=list)
    engine_batch: int = 32
    gates: GateSettings = field(default_factory=GateSettings)
    parity_images: int = 64
    overlap_images: int = 1000
    calibration_images: int = 256
    thumbnail: int = 256
    batch: int = 128

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = below(self, "", _LEAST)
        if self.precision not in PRECISIONS:
            problems.append(f"`precision={self.precision}`: must be one of {', '.join(PRECISIONS)}")
        if self.index_precision not in ("", *PRECISIONS):
            problems.append(
                f"`index_precision={self.index_precision}`: must be empty or one of {', '.join(PRECISIONS)}"
            )
        problems += [
            f"`engines`: {name!r} must be one of {', '.join(ENGINES)}" for name in self.engines if name not in ENGINES
        ]
        if self.engines and self.precision == "int8":
            problems.append(
                "`engines` with `precision=int8`: engines are built of fp32 and fp16 graphs; set `precision=fp16`"
            )
        if self.index.layout not in ("auto", "exact", "hnsw"):
            problems.append(f"`index.layout={self.index.layout}`: must be auto, exact or hnsw")
        raise_all(problems + below(self.index, "index", {"m": 2, "ef_construction": 1, "ef_search": 1}))
