"""A folder of photos as a window: what a service would have counted, had they been asked."""

from pathlib import Path

import numpy as np

from src.contracts.drift_reference import DriftReference, input_statistics, thinned
from src.contracts.errors import LookalikeError
from src.contracts.image_header import read_header
from src.contracts.preprocessing import ImageError
from src.monitoring.drift.canary import check_canary
from src.monitoring.drift.examples import small_photo
from src.monitoring.drift.window import Window
from src.search import Searcher

__all__ = ["window_of_photos"]

_BATCH = 32


def window_of_photos(searcher: Searcher, reference: DriftReference, folder: Path, *, photos: bool) -> Window:
    """Embed and search every photo of a folder and its subfolders; what is no photo is counted as dropped.

    Args:
        searcher: of the bundle that `reference` is of.
        reference: what the window counts by.
        folder: holds image files.
        photos: whether the window keeps small pictures of some of them.

    Raises:
        LookalikeError: no photo that can be read.
    """
    window = Window.empty(reference)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    for start in range(0, len(paths), _BATCH):
        read = [_read(searcher, path) for path in paths[start : start + _BATCH]]
        good = [one for one in read if one is not None]
        window.dropped += len(read) - len(good)
        if not good:
            continue
        pixels = np.stack([one[0] for one in good])
        vectors, norms = searcher.encoder.embed_with_norms(pixels)
        best = [next(iter(searcher.search(vector, 1)), None) for vector in vectors]
        window.add(
            vectors,
            norms,
            np.array([np.nan if hit is None else hit.score for hit in best], np.float32),
            input_statistics(thinned(pixels), np.array([one[1] for one in good])),
            categories=[None if hit is None else hit.row["category"] for hit in best],
            ids=[one[2] for one in good],
            photos=[small_photo(one[0]) if photos else b"" for one in good],
            at=max(one[3] for one in good),
        )
    if not window.images:
        raise LookalikeError(f"`--queries {folder}`: no photo that can be read among {len(paths)} files")
    window.canary = check_canary(searcher.bundle, searcher.encoder)
    return window


def _read(searcher: Searcher, path: Path) -> tuple[np.ndarray, tuple[int, int], str, float] | None:
    try:
        data = path.read_bytes()
        header = read_header(data)
        return searcher.pixels(data), (header.width, header.height), path.name, path.stat().st_mtime
    except (ImageError, OSError):
        return None
