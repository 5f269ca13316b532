"""What a learned embedding must beat, by name; each goes through the same evaluation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels
from src.eval.subject import Subject
from src.models.color_histogram import color_histogram
from src.models.encoder import build_encoder
from src.models.inference import embedder
from src.models.random_vectors import random_vectors
from src.models.sift_vlad import fit_sift_vlad

__all__ = ["BASELINES", "open_baseline"]

_FITTED_ON = 2000
"""Training images, at most, that a vocabulary is learned from."""


@dataclass(frozen=True)
class _Options:
    """What a baseline may ask for; see `open_baseline`."""

    seed: int
    batch: int
    model: Mapping[str, Any]
    spec: PreprocessingSpec


def open_baseline(
    name: str,
    catalogue: Catalogue,
    *,
    seed: int = 0,
    batch: int = 128,
    model: Mapping[str, Any] | None = None,
    spec: PreprocessingSpec | None = None,
) -> Subject:
    """A baseline that is ready to embed; one that learns has learned from the catalogue's training images alone.

    Args:
        name: a key of `BASELINES`.
        catalogue: what will be evaluated.
        seed: of `random` and `sift_vlad`.
        batch: images read at once.
        model: for `pretrained`, the arguments of `build_encoder`; its head is left out.
        spec: for `pretrained`, how its weights expect their pixels.

    Raises:
        LookalikeError: nothing to learn from.
        ConfigError: weights that cannot be had.
    """
    return BASELINES[name](catalogue, _Options(seed, batch, model or {}, spec or PreprocessingSpec()))


def _color_histogram(catalogue: Catalogue, options: _Options) -> Subject:
    spec = PreprocessingSpec(size=128, resize="squash")
    return Subject("color histogram", spec, color_histogram, None, "color_histogram", None)


def _sift_vlad(catalogue: Catalogue, options: _Options) -> Subject:
    spec = PreprocessingSpec(size=224, resize="squash")
    rows = catalogue.train_rows()
    if not len(rows):
        raise LookalikeError(
            "`baseline=sift_vlad` learns its vocabulary from the split `train`, which is empty; check `data.splits` or "
            "set `data.split_by=product`"
        )
    rng = np.random.default_rng(options.seed)
    rows = np.sort(rng.choice(rows, min(_FITTED_ON, len(rows)), replace=False))
    batches = iterate_pixels(catalogue, rows, spec, batch=options.batch)
    steps = track(batches, "visual vocabulary", total=-(-len(rows) // options.batch), transient=True)
    fitted = fit_sift_vlad(steps, seed=options.seed)
    return Subject("SIFT, VLAD", spec, fitted, None, "sift_vlad", options.seed)


def _pretrained(catalogue: Catalogue, options: _Options) -> Subject:
    encoder = build_encoder(spec=options.spec, **{**options.model, "head": "none"})
    backbone, weights = options.model["backbone"], options.model.get("weights")
    method = f"pretrained {backbone} {Path(weights).name if weights else 'by name'}, {options.spec.hash}"
    return Subject(f"{backbone}, not trained", options.spec, embedder(encoder), None, method, None)


def _random(catalogue: Catalogue, options: _Options) -> Subject:
    def embed(image_ids: np.ndarray) -> np.ndarray:
        return random_vectors(image_ids, seed=options.seed)

    return Subject("random vectors", None, embed, None, "random", options.seed)


BASELINES: Mapping[str, Callable[[Catalogue, _Options], Subject]] = {
    "color_histogram": _color_histogram,
    "pretrained": _pretrained,
    "random": _random,
    "sift_vlad": _sift_vlad,
}
"""Name -> how it is made ready."""
