"""Each index of a study, built once and kept with what its building took."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from src.contracts.atomic_file import atomic_file, write_atomically
from src.contracts.errors import ConfigError
from src.index.construction import clusters, coded, construct
from src.index.layouts import LAYOUTS, Layout, default_nlist, layout_named
from src.index.study.peers import PEERS

__all__ = ["Builds"]

log = logging.getLogger(__name__)

_SHARED = {"hnsw": "hnsw_fp16", "ivf": "centroids", "ivf_pq": "ivf_pq", "ivf_rabitq": "ivf_rabitq"}
"""What the layouts of a structure have in common; it is built once."""
_GIVEN = {"hnsw": "graph", "ivf": "centroids", "ivf_pq": "codes", "ivf_rabitq": "codes"}
"""As which argument of `construct`."""


@dataclass(frozen=True)
class Builds:
    """The indexes of one study.

    The graph of all HNSW layouts, the centroids of all IVF layouts and the codes of each refined one are made once.
    What is in the folder already is not built again.

    Attributes:
        folder: where they are kept.
        m: HNSW links per vector and level.
        ef_construction: HNSW candidates while building.
        nlist: IVF clusters; by the number of vectors where None.
    """

    folder: Path
    m: int
    ef_construction: int
    nlist: int | None = None

    def path(self, name: str) -> Path:
        """The file of an index: a layout's or a peer's."""
        return self.folder / f"{name}.{'index' if name in PEERS else 'faiss'}"

    def figures(self, name: str) -> dict[str, Any]:
        """What building it took: `wall_s`, `cpu_s`, `bytes`; the shared graph or centroids counted in."""
        record = json.loads(self._record(name).read_text())
        shared = record.pop("shares", None)
        if shared:
            for figure in ("wall_s", "cpu_s"):
                record[figure] += self.figures(shared)[figure]
        return dict(record)

    def ensure(self, name: str, gallery: np.ndarray) -> None:
        """Build an index unless it is there."""
        if self._done(name):
            return
        if name in PEERS:
            self._timed(name, None, lambda path: PEERS[name].build(gallery, path, self.m, self.ef_construction))
            return
        layout = layout_named(name)
        given: dict[str, Any] = {"m": self.m, "ef_construction": self.ef_construction, "nlist": self.nlist}
        shared = _SHARED.get(layout.structure) if name != "hnsw_fp16" else None
        if shared:
            self._ensure_shared(shared, layout, gallery)
            given[_GIVEN[layout.structure]] = faiss.read_index(str(self.path(shared)))
        self._timed(name, shared, lambda path: faiss.write_index(construct(gallery, layout, **given), str(path)))

    def _ensure_shared(self, name: str, layout: Layout, gallery: np.ndarray) -> None:
        if name in LAYOUTS:
            self.ensure(name, gallery)
        elif name == "centroids" and not self._done(name):
            nlist = self.nlist or default_nlist(len(gallery))
            self._timed(name, None, lambda path: faiss.write_index(clusters(gallery, nlist=nlist), str(path)))
        elif not self._done(name):
            self._ensure_shared("centroids", layout, gallery)
            centroids = faiss.read_index(str(self.path("centroids")))
            self._timed(
                name,
                "centroids",
                lambda path: faiss.write_index(coded(gallery, layout, centroids=centroids), str(path)),
            )

    def _timed(self, name: str, shared: str | None, build: Callable[[Path], None]) -> None:
        log.info("%s: building", name)
        path = self.path(name)
        with atomic_file(path) as temporary:
            wall, cpu = time.perf_counter(), time.process_time()
            build(temporary)
            figures = {
                "wall_s": time.perf_counter() - wall,
                "cpu_s": time.process_time() - cpu,
                "bytes": temporary.stat().st_size,
                "shares": shared,
                **self._settings(),
            }
        write_atomically(self._record(name), json.dumps(figures))
        log.info("%s: built in %.1f s, %.1f s of CPU", name, figures["wall_s"], figures["cpu_s"])

    def _done(self, name: str) -> bool:
        if not self._record(name).exists():
            return False
        record = json.loads(self._record(name).read_text())
        before = {key: record[key] for key in self._settings()}
        if before != self._settings():
            raise ConfigError(f"{self.path(name)} was built with {before}, not {self._settings()}; name another folder")
        return True

    def _settings(self) -> dict[str, Any]:
        return {"m": self.m, "ef_construction": self.ef_construction, "nlist": self.nlist}

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"
