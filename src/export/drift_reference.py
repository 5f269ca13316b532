"""Make a bundle's drift reference: bins, counts and covariance of a sample of queries."""

import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.drift_reference import (
    BINS,
    COMPONENTS,
    DriftReference,
    count_bins,
    count_categories,
    count_slices,
    find_bins,
    input_statistics,
    number_categories,
    thinned,
)
from src.contracts.effective_rank import effective_rank
from src.contracts.errors import CatalogueError
from src.contracts.image_header import read_header
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels
from src.export.runtime import EncoderRuntime
from src.index.faiss_index import FaissIndex

__all__ = ["drift_reference", "save_reference", "write_drift_reference"]

log = logging.getLogger(__name__)

_MOST = 5000
"""Images of the sample: its error is as large as that of a window of as many."""
_LEAST_QUERIES = 200
_AXES = 64
_LEAST_HALVED = 20
_CATEGORIES = 16
_REPEATS = 200
_RESAMPLED = (250, 1000)
_BATCH = 32


def write_drift_reference(
    path: Path,
    *,
    catalogue: Catalogue,
    rows: np.ndarray,
    spec: PreprocessingSpec,
    runtime: EncoderRuntime,
    index: FaissIndex,
    encoder_id: str,
) -> None:
    """Embed a sample as serving will, and write what monitoring compares with; equal inputs give equal bytes.

    The sample is of the queries of validation and test, which the encoder was not trained on, where there are 200 that
    are no gallery images; of the gallery elsewhere.

    Args:
        path: file to write.
        catalogue: where the images are.
        rows: int64 (images,), the gallery; row i of the index is image `rows[i]`.
        spec: how pixels are made.
        runtime: the encoder that serves.
        index: of the gallery.
        encoder_id: of the bundle.
    """
    asked = np.setdiff1d(np.union1d(catalogue.query_rows("val"), catalogue.query_rows("test")), rows)
    source, pool = ("queries", asked) if len(asked) >= _LEAST_QUERIES else ("gallery", rows)
    try:
        reference = _of_sample(source, pool, catalogue, rows, spec, runtime, index, encoder_id)
    except CatalogueError as error:
        if source == "gallery":
            raise
        # Only a pipeline reads catalogues whose files nobody has looked at.
        log.warning("the drift reference is of the gallery, since queries cannot be read: %s", error)
        reference = _of_sample("gallery", rows, catalogue, rows, spec, runtime, index, encoder_id)
    save_reference(path, reference)


def _of_sample(
    source: str,
    pool: np.ndarray,
    catalogue: Catalogue,
    rows: np.ndarray,
    spec: PreprocessingSpec,
    runtime: EncoderRuntime,
    index: FaissIndex,
    encoder_id: str,
) -> DriftReference:
    chosen = np.sort(np.random.default_rng(0).choice(pool, min(_MOST, len(pool)), replace=False))
    embeddings, norms, small = [], [], []
    for pixels in iterate_pixels(catalogue, chosen, spec, batch=_BATCH):
        vectors, lengths = runtime.embed_with_norms(pixels)
        embeddings.append(vectors)
        norms.append(lengths)
        small.append(thinned(pixels))
    vectors = np.concatenate(embeddings)
    headers = [read_header(catalogue.image_bytes(int(row))) for row in chosen]
    sizes = np.array([(header.width, header.height) for header in headers])
    scores, best = _best(index, vectors, own=np.searchsorted(rows, chosen) if source == "gallery" else None)
    scalars = np.column_stack([np.concatenate(norms), scores, input_statistics(np.concatenate(small), sizes)])
    categories = [None] * len(chosen)
    if "category" in catalogue.items.column_names:
        known = catalogue.column("category", rows)
        categories = [known[row] if row >= 0 else None for row in best]
    return drift_reference(vectors, scalars.astype(np.float32), categories, encoder_id=encoder_id, source=source)


def save_reference(path: Path, reference: DriftReference) -> None:
    """Write what `read_drift_reference` reads; equal references give equal bytes."""
    arrays: dict[str, Any] = {field.name: getattr(reference, field.name) for field in fields(reference)}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def drift_reference(
    embeddings: np.ndarray,
    scalars: np.ndarray,
    categories: Sequence[str | None],
    *,
    encoder_id: str,
    source: str = "queries",
) -> DriftReference:
    """Bins by the sample's quantiles, and its counts in them.

    Args:
        embeddings: float32 (images, dim), L2-normalised.
        scalars: float32 (images, scalars), in the order of `SCALARS`; NaN where there is no value.
        categories: of each image's best result.
        encoder_id: whose embeddings they are.
        source: what they are embeddings of.
    """
    mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    # Along axes that were fitted to them, queries look otherwise than new ones: half of them make the axes, the other
    # half is counted.
    making, counted = _halves(len(embeddings))
    axes = _axes(embeddings[making], mean)
    along = (embeddings - mean) @ axes.T
    if not np.array_equal(making, counted):
        along[making] = np.nan
    values = np.concatenate([embeddings, along[:, :COMPONENTS], scalars], axis=1, dtype=np.float32)
    edges = np.stack([bin_edges(column) for column in values.T])
    named, often = np.unique([name for name in categories if name], return_counts=True)
    # Of equally frequent ones, the first in the alphabet.
    kept = np.sort(named[np.argsort(-often, kind="stable")][:_CATEGORIES]).astype(str)
    places = {str(name): number for number, name in enumerate(kept)}
    numbers = number_categories(categories, places)
    bins = find_bins(values, edges)
    spread = along[counted].astype(np.float64)
    bias, deviation = _rank_null(spread)
    shares = np.linspace(0, 1, 101)
    # Where there is no value, there is no quantile.
    quantiles = [
        np.quantile(column[~np.isnan(column)], shares) if known else shares * np.nan
        for column, known in zip(scalars.T, ~np.isnan(scalars).all(axis=0), strict=True)
    ]
    return DriftReference(
        format=np.array(2),
        encoder_id=np.array(encoder_id),
        source=np.array(source),
        mean=mean,
        axes=axes,
        edges=edges,
        categories=kept,
        counts=count_bins(bins),
        category_counts=count_categories(numbers, len(kept)),
        slice_counts=count_slices(bins, numbers, categories=len(kept), dim=len(mean)),
        images=np.array(len(embeddings)),
        spread_images=np.array(len(counted)),
        along=spread.sum(axis=0),
        products=spread.T @ spread,
        rank_bias=np.array(bias),
        rank_deviation=np.array(deviation),
        quantiles=np.array(quantiles, np.float32),
    )


def bin_edges(values: np.ndarray) -> np.ndarray:
    """Edges of bins that hold about equally many of a sample, float32 (BINS - 1,), padded with infinity.

    An edge lies halfway between two different values, so that equal values share a bin and rounding moves none across;
    a value that many share gives fewer bins. Around a constant there are two edges: another value is in another bin.
    """
    known = np.sort(values[~np.isnan(values)].astype(np.float64))
    edges = np.full(BINS - 1, np.inf, np.float32)
    if not len(known):
        return edges
    distinct, first = np.unique(known, return_index=True)
    if len(distinct) == 1:
        width = max(1e-4, 1e-3 * abs(distinct[0]))
        edges[:2] = distinct[0] - width, distinct[0] + width
        return edges
    # A boundary before distinct value i leaves first[i] values below it.
    wanted = np.arange(1, BINS) * len(known) / BINS
    after = np.clip(np.searchsorted(first, wanted), 1, len(distinct) - 1)
    before = np.clip(after - 1, 1, len(distinct) - 1)
    nearest = np.where(wanted - first[before] < first[after] - wanted, before, after)
    places = np.unique(nearest)
    middles = np.unique(((distinct[places - 1] + distinct[places]) / 2).astype(np.float32))
    edges[: len(middles)] = middles
    return edges


def _halves(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that make the axes, and rows that are counted; all for both where there are few."""
    rows = np.random.default_rng(0).permutation(count)
    return (rows, rows) if count < _LEAST_HALVED else (np.sort(rows[::2]), np.sort(rows[1::2]))


def _axes(embeddings: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Principal components, float32 (at most 64, dim), each with its largest number positive."""
    centred = embeddings.astype(np.float64) - mean
    _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    axes = vectors[:, ::-1].T[:_AXES]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return (axes * np.where(largest < 0, -1, 1)).astype(np.float32)


def _rank_null(along: np.ndarray) -> tuple[float, float]:
    """How the effective rank of n queries of the same distribution varies: bias times n, deviation times root n.

    By resampling the sample. The two follow 1 / n and 1 / root n, the larger of the estimates at two sizes counts.
    """
    rng = np.random.default_rng(0)
    count = len(along)
    whole = effective_rank(count, along.sum(axis=0), along.T @ along)
    biases, deviations = [], []
    for size in _RESAMPLED:
        ranks = []
        for _ in range(_REPEATS):
            drawn = along[rng.integers(0, count, size)]
            ranks.append(effective_rank(size, drawn.sum(axis=0), drawn.T @ drawn))
        biases.append(size * (whole - np.mean(ranks)))
        deviations.append(np.sqrt(size) * np.std(ranks))
    return float(np.mean(biases)), float(max(deviations))


def _best(index: FaissIndex, vectors: np.ndarray, *, own: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and row of each vector's nearest gallery image, `own` left out: float32 and int64 (images,)."""
    scores, rows = index.search(vectors, min(2, len(index)))
    if own is None or len(index) < 2:
        return scores[:, 0], rows[:, 0]
    second = (rows[:, 0] == own).astype(int)
    chosen = np.arange(len(vectors))
    return scores[chosen, second], rows[chosen, second]
