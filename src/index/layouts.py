"""The layouts of an index: what each keeps, what it costs, and how its cost grows."""

import math
from dataclasses import dataclass

from src.contracts.errors import LookalikeError
from src.contracts.settings import INDEX_LAYOUTS

__all__ = ["BYTES", "EXACT_BELOW", "LAYOUTS", "LEARNS_FROM", "Layout", "choose_layout", "default_nlist", "layout_named"]

EXACT_BELOW = 50_000
"""Vectors up to which an exact scan is quick enough (100 k x 512 on one thread: 7.7 ms)."""

LEARNS_FROM = 256
"""Vectors that an IVF layout needs at least: a code book of PQ has 256 entries."""

BYTES = {"fp32": 4, "fp16": 2, "sq8": 1}
"""Of a number, by storage."""


@dataclass(frozen=True)
class Layout:
    """One way to arrange vectors in a file.

    Attributes:
        name: as settings and manifests write it; structure and storage, except for `exact`.
        structure: `exact`, `hnsw`, `ivf`, `ivf_pq` or `ivf_rabitq`.
        storage: how the vectors themselves are kept: `fp32`, `fp16` or `sq8` (8 bits a number). `ivf_pq` and
            `ivf_rabitq` search small codes and refine what they find with these.
        growth: how the time of a query grows with the vectors, at equal recall.
    """

    name: str
    structure: str
    storage: str
    growth: str

    @property
    def refined(self) -> bool:
        """Whether codes find candidates and stored vectors rank them."""
        return self.structure in ("ivf_pq", "ivf_rabitq")

    @property
    def clustered(self) -> bool:
        """Whether it is an inverted file."""
        return self.structure.startswith("ivf")

    def bytes_per_vector(self, rows: int, dim: int, *, m: int = 32, nlist: int | None = None) -> float:
        """The size of its file, per vector, by what FAISS writes; tests hold it to 1 % of the file.

        Args:
            rows: vectors in the index.
            dim: numbers in a vector.
            m: HNSW links per vector and level.
            nlist: IVF clusters; `default_nlist` where None.
        """
        stored = dim * BYTES[self.storage]
        # Ranges that 8 bits stand for: two numbers a dimension.
        ranges = 8 * dim / rows if self.storage == "sq8" else 0.0
        if self.structure == "exact":
            return stored
        if self.structure == "hnsw":
            # 2 m links on the ground level, m on each higher one, which 1 / m as many vectors reach; level and offset.
            return stored + ranges + 8 * m + 4 * m / (m - 1) + 12
        nlist = nlist or default_nlist(rows)
        # A centroid, its radius of a list; 8 bytes of each vector's row.
        lists = 8 + nlist * (4 * dim + 8) / rows
        if self.structure == "ivf":
            # A second 8 bytes say where a row's vector is.
            return stored + ranges + lists + 8
        if self.structure == "ivf_pq":
            return stored + ranges + lists + pq_codes(dim) + 256 * 4 * dim / rows
        # One bit a number and two factors; the random rotation.
        return stored + ranges + lists + math.ceil(dim / 8) + 8 + 4 * dim * dim / rows

    def slowdown(self, few: int, many: int) -> float:
        """How many times longer a query takes over `many` vectors than over `few`, by its law of growth."""
        if few == many:
            return 1.0
        if self.structure == "exact":
            return many / few
        if self.structure == "hnsw":
            return math.log(many) / math.log(few)
        return math.sqrt(many / few)


_GROWTH = {
    "exact": "linear",
    "hnsw": "logarithmic",
    "ivf": "with the square root",
    "ivf_pq": "with the square root",
    "ivf_rabitq": "with the square root",
}


def _layout(name: str) -> Layout:
    structure, storage = ("exact", "fp32") if name == "exact" else name.rsplit("_", 1)
    return Layout(name, structure, storage, _GROWTH[structure])


LAYOUTS = {name: _layout(name) for name in INDEX_LAYOUTS}
"""All layouts by name."""


def layout_named(name: str) -> Layout:
    """The layout of a name; raises `LookalikeError` for others."""
    if name not in LAYOUTS:
        raise LookalikeError(f"`layout={name}`: must be one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def choose_layout(rows: int) -> str:
    """The layout that needs no budget to be chosen: exact while that is quick, then HNSW over float16."""
    return "exact" if rows < EXACT_BELOW else "hnsw_fp16"


def default_nlist(rows: int) -> int:
    """IVF clusters: the power of two nearest to 4 sqrt(rows), with at least 39 vectors a cluster to learn it from."""
    wanted = 2 ** round(math.log2(4 * math.sqrt(max(rows, 1))))
    return max(1, min(wanted, rows // 39))


def pq_codes(dim: int) -> int:
    """Bytes of a vector's PQ code: one for 8 numbers, or for as many of 4, 2, 1 as divide the dimension."""
    return dim // next(width for width in (8, 4, 2, 1) if dim % width == 0)
