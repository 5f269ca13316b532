"""A bounded random sample of queries, so that an alarm can name some: mergeable across processes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from PIL import Image

__all__ = ["Examples", "small_photo"]

T = TypeVar("T")

_MOST = 64
_SIDE = 64


@dataclass(frozen=True, eq=False)
class Examples:
    """The queries with the smallest random numbers, at most 64: a uniform sample, also after merging.

    Attributes:
        chances: float64 (examples,), uniform from 0 to 1, ascending.
        bins: uint8 (examples, features).
        ids: of the requests.
        categories: of the best results; empty where unknown.
        photos: JPEG files of few pixels; empty where none are kept, which is the default.
    """

    chances: np.ndarray
    bins: np.ndarray
    ids: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    photos: list[bytes] = field(default_factory=list)

    @classmethod
    def none(cls, features: int) -> "Examples":
        """An empty sample."""
        return cls(np.empty(0), np.empty((0, features), np.uint8))

    def merged(self, other: "Examples") -> "Examples":
        """A uniform sample of what both are samples of."""
        chances = np.concatenate([self.chances, other.chances])
        kept = np.argsort(chances, kind="stable")[:_MOST]

        def chosen(own: list[T], others: list[T]) -> list[T]:
            both = [*own, *others]
            return [both[int(place)] for place in kept]

        return Examples(
            chances[kept],
            np.concatenate([self.bins, other.bins])[kept],
            chosen(self.ids, other.ids),
            chosen(self.categories, other.categories),
            chosen(self.photos, other.photos),
        )

    def drawn(
        self, bins: np.ndarray, ids: Sequence[str], categories: Sequence[str | None], photos: Sequence[bytes]
    ) -> "Examples":
        """The sample after further queries; `bins` is uint8 (images, features), the rest as the attributes say."""
        chances = np.random.default_rng().random(len(bins))
        # Most queries of a long window are too late to be among the smallest.
        last = self.chances[-1] if len(self.chances) == _MOST else 1.0
        fresh: list[int] = np.flatnonzero(chances < last).tolist()
        if not fresh:
            return self
        further = Examples(
            chances[fresh],
            bins[fresh],
            [ids[row] for row in fresh],
            [categories[row] or "" for row in fresh],
            [photos[row] for row in fresh],
        )
        return self.merged(further)


def small_photo(pixels: np.ndarray) -> bytes:
    """A JPEG of at most 64 pixels a side, of uint8 (size, size, 3)."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
