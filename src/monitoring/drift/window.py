"""One window of queries as counts, sketches and a covariance: bounded, mergeable, and written without pickle."""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasketches import kll_floats_sketch

from src.contracts.drift_reference import (
    SCALARS,
    DriftReference,
    count_bins,
    count_categories,
    count_slices,
)
from src.contracts.errors import LookalikeError
from src.monitoring.drift.canary import Canary
from src.monitoring.drift.examples import Examples

__all__ = ["Window", "reference_id"]

_FORMAT = 1
_SKETCH = 200
"""KLL's k: quantiles are off by at most 1.7 % of the ranks, with a probability of 99 %. They are for people to look at;
what is tested are the counts, which are exact."""


def reference_id(reference: DriftReference) -> str:
    """16 hex digits of what windows are counted by: encoder, axes and edges."""
    parts = (str(reference.encoder_id).encode(), reference.mean, reference.axes, reference.edges)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    digest.update("\0".join(map(str, reference.categories)).encode())
    return digest.hexdigest()[:16]


@dataclass(eq=False)
class Window:
    """Queries that were counted by one reference. Not safe to change from two threads at once.

    At 512 dimensions it takes about 150 KB, however many queries it has.

    Attributes:
        reference_id: of the reference that it counts by.
        images: queries.
        dropped: queries that were not counted, because the queue was full.
        started: seconds since 1970, of the first query; 0 without one.
        ended: likewise, of the last.
        counts: as the reference's; so are those that follow.
        sketches: KLL sketches of `SCALARS`, for quantiles.
        examples: some queries.
        spread_images: queries in `along` and `products`.
        canary: the worst result of the fixed probes in this window; None where they were not embedded.
    """

    reference_id: str
    counts: np.ndarray
    category_counts: np.ndarray
    slice_counts: np.ndarray
    along: np.ndarray
    products: np.ndarray
    sketches: list[kll_floats_sketch]
    examples: Examples
    images: int = 0
    spread_images: int = 0
    dropped: int = 0
    started: float = 0.0
    ended: float = 0.0
    canary: Canary | None = None
    _reference: DriftReference | None = field(default=None, repr=False)

    @classmethod
    def empty(cls, reference: DriftReference) -> "Window":
        """A window without queries, which counts by a reference."""
        return cls(
            reference_id(reference),
            np.zeros_like(reference.counts),
            np.zeros_like(reference.category_counts),
            np.zeros_like(reference.slice_counts),
            np.zeros_like(reference.along),
            np.zeros_like(reference.products),
            [kll_floats_sketch(_SKETCH) for _ in SCALARS],
            Examples.none(len(reference.edges)),
            _reference=reference,
        )

    def add(
        self,
        embeddings: np.ndarray,
        norms: np.ndarray,
        top_scores: np.ndarray,
        inputs: np.ndarray,
        *,
        categories: Sequence[str | None] | None = None,
        ids: Sequence[str] | None = None,
        photos: Sequence[bytes] | None = None,
        at: float = 0.0,
    ) -> None:
        """Count queries.

        Args:
            embeddings: float32 (images, dim), L2-normalised and finite.
            norms: float32 (images,), before L2; NaN where the graph gives none.
            top_scores: float32 (images,), cosine of the best result; NaN where there is none.
            inputs: float32 (images, 5), of `input_statistics`.
            categories: of the best results.
            ids: of the requests; empty where they have none.
            photos: small JPEG files; they are kept for at most 64 queries.
            at: when they were asked, in seconds since 1970.

        Raises:
            LookalikeError: embeddings of another dimension, or the window was read from a file.
        """
        reference, count = self._reference, len(embeddings)
        if reference is None or embeddings.shape[1] != reference.dim:
            dim = None if reference is None else reference.dim
            raise LookalikeError(f"embeddings of shape {embeddings.shape} do not fit a window of dimension {dim}")
        if not count:
            return
        scalars = np.column_stack([norms, top_scores, inputs]).astype(np.float32)
        along = reference.along_axes(embeddings)
        bins = reference.bins(embeddings, along, scalars)
        numbers = reference.category_numbers(categories or [None] * count)
        self.counts += count_bins(bins)
        self.category_counts += count_categories(numbers, len(self.slice_counts))
        self.slice_counts += count_slices(bins, numbers, categories=len(self.slice_counts), dim=reference.dim)
        self.along += along.sum(axis=0, dtype=np.float64)
        self.products += along.astype(np.float64).T @ along.astype(np.float64)
        for sketch, values in zip(self.sketches, scalars.T, strict=True):
            sketch.update(values[~np.isnan(values)])
        self.examples = self.examples.drawn(
            bins, ids or [""] * count, categories or [None] * count, photos or [b""] * count
        )
        self.images += count
        self.spread_images += count
        self.started = min(self.started or at, at)
        self.ended = max(self.ended, at)

    def merge(self, other: "Window") -> None:
        """Add another window of the same reference; raises `LookalikeError` for one of another reference."""
        if other.reference_id != self.reference_id:
            raise LookalikeError(
                f"windows of the references {self.reference_id} and {other.reference_id} cannot be added: they are of "
                "different bundles; give those of one bundle"
            )
        for name in ("counts", "category_counts", "slice_counts", "along", "products"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for own, others in zip(self.sketches, other.sketches, strict=True):
            own.merge(others)
        self.examples = self.examples.merged(other.examples)
        self.images += other.images
        self.spread_images += other.spread_images
        self.dropped += other.dropped
        self.started = min(filter(None, (self.started, other.started)), default=0.0)
        self.ended = max(self.ended, other.ended)
        canaries = [canary for canary in (self.canary, other.canary) if canary is not None]
        self.canary = min(canaries, key=lambda canary: canary.order, default=None)

    def quantiles(self, scalar: int, shares: np.ndarray) -> np.ndarray:
        """About these quantiles of a scalar, float32; NaN where no query has it."""
        sketch = self.sketches[scalar]
        if sketch.is_empty():
            return np.full(len(shares), np.nan, np.float32)
        return np.asarray(sketch.get_quantiles(shares), np.float32)

    def to_bytes(self) -> bytes:
        """A compressed NPZ archive, which `from_bytes` reads."""
        sketches = [np.frombuffer(sketch.serialize(), np.uint8) for sketch in self.sketches]
        photos = [np.frombuffer(photo, np.uint8) for photo in self.examples.photos]
        head = {
            "format": _FORMAT,
            "reference_id": self.reference_id,
            "images": self.images,
            "spread_images": self.spread_images,
            "dropped": self.dropped,
            "started": self.started,
            "ended": self.ended,
            "canary": None if self.canary is None else self.canary.to_dict(),
            "ids": self.examples.ids,
            "categories": self.examples.categories,
        }
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            allow_pickle=False,
            head=np.frombuffer(json.dumps(head).encode(), np.uint8),
            counts=self.counts,
            category_counts=self.category_counts,
            slice_counts=self.slice_counts,
            along=self.along,
            products=self.products,
            sketches=np.concatenate(sketches),
            sketch_bytes=np.array([len(sketch) for sketch in sketches]),
            chances=self.examples.chances,
            bins=self.examples.bins,
            photos=np.concatenate([np.empty(0, np.uint8), *photos]),
            photo_bytes=np.array([len(photo) for photo in photos], np.int64),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Window":
        """Read what `to_bytes` made; raises `LookalikeError` where it is not that. Nothing is unpickled."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            head: dict[str, Any] = json.loads(arrays["head"].tobytes())
            if head["format"] != _FORMAT:
                raise LookalikeError(f"a window of format {head['format']}; this version reads {_FORMAT}")
            examples = Examples(
                arrays["chances"],
                arrays["bins"],
                head["ids"],
                head["categories"],
                _split(arrays["photos"], arrays["photo_bytes"]),
            )
            return cls(
                head["reference_id"],
                arrays["counts"],
                arrays["category_counts"],
                arrays["slice_counts"],
                arrays["along"],
                arrays["products"],
                [kll_floats_sketch.deserialize(part) for part in _split(arrays["sketches"], arrays["sketch_bytes"])],
                examples,
                head["images"],
                head["spread_images"],
                head["dropped"],
                head["started"],
                head["ended"],
                None if head["canary"] is None else Canary(**head["canary"]),
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
            raise LookalikeError(f"no readable window of queries ({error})") from None

    @classmethod
    def of_reference(cls, reference: DriftReference) -> "Window":
        """The reference's own counts, to compare with; its sketches are empty."""
        window = cls.empty(reference)
        window.counts, window.images = reference.counts, int(reference.images)
        window.category_counts, window.slice_counts = reference.category_counts, reference.slice_counts
        window.spread_images = int(reference.spread_images)
        window.along, window.products = reference.along, reference.products
        return window


def _split(data: np.ndarray, sizes: np.ndarray) -> list[bytes]:
    ends = np.cumsum(sizes)
    return [data[end - size : end].tobytes() for end, size in zip(ends, sizes, strict=True)]
