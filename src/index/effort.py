"""The search settings that are worth measuring, from the quickest to the most thorough."""

from typing import Any

from src.index.layouts import BYTES, Layout

__all__ = ["EF_SEARCH", "efforts"]

EF_SEARCH = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_NPROBE = (4, 8, 16, 32, 64, 128, 256)
_K_FACTOR = (2.0, 4.0, 8.0, 16.0, 32.0)


def efforts(layout: Layout, *, rows: int, dim: int, nlist: int) -> list[dict[str, Any]]:
    """Keyword arguments of `FaissIndex.with_effort`, in the order of the bytes that a query reads.

    An order by arithmetic and not by the clock: so the first that finds enough is the same on each run.

    Args:
        layout: what is searched.
        rows: its vectors.
        dim: numbers in a vector.
        nlist: its clusters; used by IVF layouts only.
    """
    if layout.structure == "exact":
        return [{}]
    if layout.structure == "hnsw":
        return [{"ef_search": ef_search} for ef_search in EF_SEARCH]
    probes = [nprobe for nprobe in _NPROBE if nprobe < nlist] or [nlist]
    if not layout.refined:
        return [{"nprobe": nprobe} for nprobe in probes]
    grid = [{"nprobe": nprobe, "k_factor": k_factor} for nprobe in probes for k_factor in _K_FACTOR]

    def read(effort: dict[str, Any]) -> float:
        codes = effort["nprobe"] * rows / nlist * dim / 8
        return float(codes + 10 * effort["k_factor"] * dim * BYTES[layout.storage])

    return sorted(grid, key=read)
