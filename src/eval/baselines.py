"""Baselines that a learned embedding must beat, by name; all go through the same evaluation."""

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
from src.eval.evaluated_model import EvaluatedModel
from src.models.color_histogram import color_histogram
from src.models.encoder import build_encoder
from src.models.inference import embedder
from src.models.random_vectors import random_vectors
from src.models.sift_vlad import fit_sift_vlad
from src.models.sources import backbone_name

__all__ = ["BASELINES", "open_baseline"]

_FITTED_ON = 2000
"""Most training images from which a visual vocabulary is learned."""


@dataclass(frozen=True)
class _Options:
    """The arguments of `open_baseline` that baselines use."""

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
) -> EvaluatedModel:
    """Make a baseline ready to embed; one that is fitted sees the catalogue's training images only.

    Args:
        name: a key of `BASELINES`.
        catalogue: the catalogue to be evaluated.
        seed: of `random` and `sift_vlad`.
        batch: images read at once.
        model: for `pretrained`, the arguments of `build_encoder`, except the head.
        spec: for `pretrained`, the preprocessing that its weights expect.

    Raises:
        LookalikeError: no training image to fit to.
        ConfigError: weights that cannot be loaded.
    """
    return BASELINES[name](catalogue, _Options(seed, batch, model or {}, spec or PreprocessingSpec()))


def _color_histogram(catalogue: Catalogue, options: _Options) -> EvaluatedModel:
    spec = PreprocessingSpec(size=128, resize="squash")
    return EvaluatedModel("color histogram", spec, color_histogram, None, "color_histogram", None)


def _sift_vlad(catalogue: Catalogue, options: _Options) -> EvaluatedModel:
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
    return EvaluatedModel("SIFT, VLAD", spec, fitted, None, "sift_vlad", options.seed)


def _pretrained(catalogue: Catalogue, options: _Options) -> EvaluatedModel:
    encoder = build_encoder(spec=options.spec, **{**options.model, "head": "none"})
    backbone, weights = backbone_name(options.model["backbone"]), options.model.get("weights")
    method = f"pretrained {backbone} {Path(weights).name if weights else 'by name'}, {options.spec.hash}"
    return EvaluatedModel(f"{backbone}, not trained", options.spec, embedder(encoder), None, method, None)


def _random(catalogue: Catalogue, options: _Options) -> EvaluatedModel:
    def embed(image_ids: np.ndarray) -> np.ndarray:
        return random_vectors(image_ids, seed=options.seed)

    return EvaluatedModel("random vectors", None, embed, None, "random", options.seed)


BASELINES: Mapping[str, Callable[[Catalogue, _Options], EvaluatedModel]] = {
    "color_histogram": _color_histogram,
    "pretrained": _pretrained,
    "random": _random,
    "sift_vlad": _sift_vlad,
}
"""Name -> function that makes it ready."""
