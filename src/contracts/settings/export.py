"""Settings of `python export.py`."""

from dataclasses import dataclass, field

from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings

__all__ = ["ExportSettings", "IndexSettings"]


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
class ExportSettings:
    """`python export.py`.

    Attributes:
        checkpoint: the encoder to export.
        output: the bundle's folder; an older bundle there is replaced, anything else is left alone.
        data: the catalogue to index; what the encoder was trained on unless overridden.
        index: the vector index.
        max_abs: largest difference from torch that an embedding's number may have.
        min_centred_cosine: smallest cosine to torch's embedding after the mean is taken off both.
        parity_images: catalogue images that the parity is measured on.
        thumbnail: longer side of the pictures that the service shows, in pixels.
        batch: images embedded at once.
    """

    checkpoint: str = MISSING
    output: str = MISSING
    data: DataSettings = field(default_factory=DataSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    max_abs: float = 1e-5
    min_centred_cosine: float = 0.9999
    parity_images: int = 64
    thumbnail: int = 256
    batch: int = 128

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = below(self, "", {"parity_images": 2, "batch": 1, "thumbnail": 16})
        if self.index.layout not in ("auto", "exact", "hnsw"):
            problems.append(f"`index.layout={self.index.layout}`: must be auto, exact or hnsw")
        raise_all(problems + below(self.index, "index", {"m": 2, "ef_construction": 1, "ef_search": 1}))
