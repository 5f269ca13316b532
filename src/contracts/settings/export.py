"""Settings of `python export.py`."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings

__all__ = ["INDEX_LAYOUTS", "PRECISIONS", "ExportSettings", "GateSettings", "IndexSettings"]

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

_REFINED = tuple(f"{codes}_{storage}" for codes in ("ivf_pq", "ivf_rabitq") for storage in ("fp32", "fp16", "sq8"))

INDEX_LAYOUTS = ("exact", "hnsw_fp32", "hnsw_fp16", "hnsw_sq8", "ivf_sq8", *_REFINED)
"""Layouts of an index; docs/index.md compares them."""


@dataclass
class IndexSettings:
    """The vector index of a bundle.

    Attributes:
        backend: `faiss`, a file of the bundle; or `milvus`, a collection of a server, whose token is `MILVUS_TOKEN`.
        uri: with `milvus`, the server's address, or a file that ends in `.db`.
        collection: with `milvus`, the alias that points at the newest collection, which is named after it.
        kind: with `milvus`, its index; which there are depends on the server.
        shards: with `milvus`, write channels.
        layout: one of `INDEX_LAYOUTS`, or `auto`: the simplest that keeps the budgets below, tuned by measuring;
            without a budget, exact below 50,000 vectors and `hnsw_fp16` above.
        memory_gb: with `auto`, 10^9 bytes that the index may take.
        max_latency_ms: with `auto`, what 99 % of single queries on one thread may take, in milliseconds.
        min_recall: smallest recall@10 against exact search that may be exported.
        m: HNSW links per vector and level.
        ef_construction: HNSW candidates while building.
        nlist: IVF clusters; by the number of vectors where null.
        ef_search: HNSW candidates while searching; with a budget, found by measuring, like the next two.
        nprobe: IVF clusters that are searched.
        k_factor: candidates for each row wanted, where codes are refined (`ivf_pq_*`, `ivf_rabitq_*`).
    """

    backend: str = "faiss"
    uri: str = ""
    collection: str = ""
    kind: str = "HNSW"
    shards: int = 1
    layout: str = "auto"
    memory_gb: float | None = None
    max_latency_ms: float | None = None
    min_recall: float = 0.95
    m: int = 32
    ef_construction: int = 200
    nlist: int | None = None
    ef_search: int = 64
    nprobe: int = 32
    k_factor: float = 8.0

    def problems(self) -> list[str]:
        """What cannot work, a line each."""
        problems = below(self, "index", {"m": 2, "ef_construction": 1, "ef_search": 1, "nprobe": 1, "k_factor": 1})
        problems += below(self, "index", {"shards": 1}) + self._backend_problems()
        if self.layout not in ("auto", *INDEX_LAYOUTS):
            problems.append(f"`index.layout={self.layout}`: must be auto or one of {', '.join(INDEX_LAYOUTS)}")
        if self.nlist is not None and self.nlist < 1:
            problems.append(f"`index.nlist={self.nlist}`: must be at least 1")
        for name in ("memory_gb", "max_latency_ms"):
            budget = getattr(self, name)
            if budget is not None and not budget > 0:
                problems.append(f"`index.{name}={budget}`: must be above 0")
            if budget is not None and self.layout != "auto":
                problems.append(
                    f"`index.{name}={budget}`: only `index.layout=auto` keeps budgets; set one or the other"
                )
        return problems

    def _backend_problems(self) -> list[str]:
        """What does not suit the backend."""
        given = {"index.uri": self.uri, "index.collection": self.collection}
        if self.backend == "faiss":
            return [
                f"`{name}={value}`: only `index.backend=milvus` has one; set both or neither"
                for name, value in given.items()
                if value
            ]
        if self.backend != "milvus":
            return [f"`index.backend={self.backend}`: must be faiss or milvus"]
        problems = [
            f"`{name}` is empty: `index.backend=milvus` needs one" for name, value in given.items() if not value
        ]
        if self.collection and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", self.collection):
            problems.append(f"`index.collection={self.collection}`: letters, digits and underscores, at most 200")
        if "@" in self.uri:
            problems.append("`index.uri` holds a user's name or password: give the token in MILVUS_TOKEN")
        if self.layout != "auto" or self.memory_gb is not None or self.max_latency_ms is not None:
            problems.append(
                "`index.layout`, `index.memory_gb` and `index.max_latency_ms` are of FAISS; choose Milvus' index by "
                "`index.kind`"
            )
        return problems


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
        trust: packages that are imported first, for a checkpoint whose backbone, head or reader is theirs.
        data: the catalogue to index; what the encoder was trained on unless overridden.
        index: the vector index.
        precision: what backbone and head compute in: `fp32`, `fp16` or `int8`.
        index_precision: what the gallery is embedded in; empty for that of the queries, `precision`.
        engines: TensorRT engines to build: `tensorrt` for this machine's GPU, `rtx-sm75`, `rtx-sm86`, `rtx-sm89` or
            `rtx-sm120` for TensorRT-RTX on such GPUs, which need not be here.
        engine_batch: largest batch of an engine.
        triton: folder for a model repository of NVIDIA's Triton Inference Server; empty for none.
        gates: limits; an encoder that misses one is not exported.
        parity_images: gallery images that the parity is measured on.
        overlap_images: gallery images that the overlap of neighbours is measured on, where a precision is not fp32.
        calibration_images: gallery images whose activations give the ranges of `int8`.
        thumbnail: longer side of the pictures that the service shows, in pixels.
        batch: images embedded at once.
        track: log the bundle at Weights & Biases where the checkpoint's training was logged there.
    """

    checkpoint: str = MISSING
    output: str = MISSING
    trust: list[str] = field(default_factory=list)
    data: DataSettings = field(default_factory=DataSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    precision: str = "fp32"
    index_precision: str = ""
    engines: list[str] = field(default_factory=list)
    engine_batch: int = 32
    triton: str = ""
    gates: GateSettings = field(default_factory=GateSettings)
    parity_images: int = 64
    overlap_images: int = 1000
    calibration_images: int = 256
    thumbnail: int = 256
    batch: int = 128
    track: bool = True

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
        if self.triton and Path(self.triton).resolve().is_relative_to(Path(self.output).resolve()):
            problems.append(
                f"`triton={self.triton}`: lies in the bundle `output={self.output}`, which holds its own files only; "
                "name a folder beside it"
            )
        raise_all(problems + self.index.problems())
