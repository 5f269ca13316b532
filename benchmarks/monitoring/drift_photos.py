"""The built-in shop's photos as a service observes them, and the same after something has changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from src.contracts.drift_reference import input_statistics, thinned
from src.contracts.image_header import read_header
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.models.encoder import Encoder, build_encoder
from src.shop.writer import open_shop

__all__ = ["NEW_CATEGORY", "Observed", "Photos", "observe"]

_SPEC = PreprocessingSpec(size=128, resize="pad")
_BATCH = 32
_DIM = 128
NEW_CATEGORY = "lamp"
"""Left out of what is normal."""
_NEW_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Observed:
    """Photos as a window counts them; `draw` takes some rows.

    Attributes:
        embeddings: float32 (photos, dim).
        norms: float32 (photos,).
        scores: float32 (photos,), cosine of the best result.
        inputs: float32 (photos, 5).
        categories: of the best results.
    """

    embeddings: np.ndarray
    norms: np.ndarray
    scores: np.ndarray
    inputs: np.ndarray
    categories: np.ndarray

    def draw(self, rows: np.ndarray) -> "Observed":
        """Some of the photos, int64 (photos,)."""
        return Observed(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def joined(self, other: "Observed") -> "Observed":
        """These photos and others."""
        parts = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Observed(*(np.concatenate(pair) for pair in parts))


Photos = Callable[[np.random.Generator, int], Observed]
"""Draws so many photos."""
Embed = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Head = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def observe(folder: Path, *, parents: int, most: int, weights: Path) -> tuple[Photos, Mapping[str, Photos]]:
    """Render the shop, embed its user photos by MobileNetV2 and principal components, and change them.

    Returns:
        What draws normal photos, with replacement from all that there are: windows and reference are samples of one
        distribution. And what draws photos after each change.
    """
    items = open_shop(folder / f"shop{parents}", parents=parents, seed=0, image_size=128, sessions=10)
    rows = items.select(["image", "domain", "category"]).to_pylist()
    photos = _evenly([row for row in rows if row["domain"] == "user"], most)
    catalogue = _evenly([row for row in rows if row["domain"] == "catalogue"], most)
    root = folder / f"shop{parents}"
    pixels, sizes = _pixels(root, photos)
    encoder = build_encoder(spec=_SPEC, backbone="mobilenetv2_100", weights=str(weights), head="none").eval()
    features, lengths = _embed(encoder, _pixels(root, catalogue)[0])
    reduced = _components(features * lengths[:, None])
    gallery, _ = reduced(features, lengths)
    listed = np.array([row["category"] for row in catalogue], object)

    def seen(images: np.ndarray, by: Embed, head: Head = reduced) -> Observed:
        embeddings, norms = head(*by(images))
        scores = embeddings @ gallery.T
        best = scores.argmax(axis=1)
        inputs = input_statistics(thinned(images), sizes)
        return Observed(embeddings, norms, scores[np.arange(len(best)), best], inputs, listed[best])

    normal = seen(pixels, lambda images: _embed(encoder, images))
    # A small shop may have none of it.
    left_out = NEW_CATEGORY if any(row["category"] == NEW_CATEGORY for row in photos) else photos[0]["category"]
    new = np.array([row["category"] == left_out for row in photos])
    usual = np.flatnonzero(~new)

    def drawn(make: Callable[[], Observed]) -> Photos:
        made = cache(make)  # Embedding all photos takes minutes.
        return lambda rng, count: made().draw(rng.choice(usual, count))

    def with_new(rng: np.random.Generator, count: int) -> Observed:
        some = rng.binomial(count, _NEW_SHARE)
        others = normal.draw(rng.choice(np.flatnonzero(new), some))
        return normal.draw(rng.choice(usual, count - some)).joined(others)

    raw = build_encoder(
        spec=PreprocessingSpec(size=128, resize="pad", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        backbone="mobilenetv2_100", weights=str(weights), head="none",
    ).eval()  # fmt: skip
    brighter = np.clip(pixels * np.float32(1.1), 0, 255).astype(np.uint8)
    changes = {
        "brightness +10 %": drawn(lambda: seen(brighter, lambda images: _embed(encoder, images))),
        f"a new category, {_NEW_SHARE:.0%} of the photos": with_new,
        "red and blue swapped": drawn(lambda: seen(pixels, lambda images: _embed(encoder, images[..., ::-1]))),
        "another normalisation": drawn(lambda: seen(pixels, lambda images: _embed(raw, images))),
        "one dimension collapsed": drawn(
            lambda: seen(pixels, lambda images: _embed(encoder, images), lambda *made: _collapsed(*reduced(*made)))
        ),
        "the encoder in bf16": drawn(lambda: seen(pixels, lambda images: _in_bf16(encoder, images))),
    }
    return drawn(lambda: normal), changes


def _evenly(rows: list[dict], most: int) -> list[dict]:
    return [rows[place] for place in np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]


def _pixels(root: Path, rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """What the encoder gets, and width and height of the files."""
    files = [(root / row["image"]).read_bytes() for row in rows]
    headers = [read_header(data) for data in files]
    sizes = np.array([(header.width, header.height) for header in headers])
    return np.stack([preprocess(data, _SPEC) for data in files]), sizes


def _components(features: np.ndarray) -> Head:
    """What a head of principal components makes of a network's features: 128 dimensions, and their norms before L2."""
    mean = features.mean(axis=0)
    _, _, axes = np.linalg.svd(features - mean, full_matrices=False)
    kept = axes[:_DIM].T

    def reduced(vectors: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        changed = (vectors * lengths[:, None] - mean) @ kept
        norms = np.linalg.norm(changed, axis=1)
        return (changed / norms[:, None]).astype(np.float32), norms

    return reduced


def _embed(encoder: Encoder, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vectors, norms = [], []
    with torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(pixels[start : start + _BATCH]))
            made, lengths = encoder.with_norms(batch)
            vectors.append(made.numpy())
            norms.append(lengths.numpy())
    return np.concatenate(vectors), np.concatenate(norms)


def _in_bf16(encoder: Encoder, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with torch.autocast("cpu", torch.bfloat16):
        return _embed(encoder, pixels)


def _collapsed(vectors: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The dimension that varies most is constant from now on."""
    changed = vectors * norms[:, None]
    widest = changed.var(axis=0).argmax()
    changed[:, widest] = changed[:, widest].mean()
    lengths = np.linalg.norm(changed, axis=1)
    return changed / lengths[:, None], lengths
