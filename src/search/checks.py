"""Whether an opened bundle finds what it should: checked before it takes the place of one that does."""

import numpy as np

from src.contracts.errors import GateError
from src.contracts.preprocessing import ImageError
from src.search.gallery import Gallery, Vectors
from src.search.searcher import Searcher

__all__ = ["check_finds"]

_PICTURES = 32
_BLOCK = 65_536
_EXACT_ROWS = 1_000_000
"""Largest index that is compared with exact search: a second's work beside what is being served."""

_OWN_SHARE = 0.5
"""Of the pictures that must find their own item: they are thumbnails, which embed a little differently. An encoder and
an index that do not belong together find next to none."""

_LOSS = 0.05
"""Of recall that chance explains with so few queries."""


def check_finds(searcher: Searcher) -> str:
    """Search with pictures of the catalogue.

    They must find their own items, and as much of what exact search finds as the export measured.

    Returns:
        What was found, in words.

    Raises:
        GateError: too little.
    """
    rows, queries = _embedded(searcher)
    if not len(rows):
        return "no pictures to search with"
    gallery = searcher.gallery
    items = gallery.items.item_ids(rows)
    found = [[hit.row["item_id"] for hit in gallery.search(query, 10)] for query in queries]
    own = float(np.mean([item in near for item, near in zip(items, found, strict=True)]))
    if own < _OWN_SHARE:
        raise GateError(
            f"{own:.0%} of {len(rows)} catalogue pictures find their own item, at least {_OWN_SHARE:.0%} must: encoder "
            "and index do not belong together; export the bundle again"
        )
    told = f"{own:.0%} of {len(rows)} pictures find their own item"
    if not isinstance(gallery, Gallery) or len(gallery) > _EXACT_ROWS:
        return told
    index, k = gallery.index, min(10, len(gallery))
    scores, _ = index.search(queries, k)
    kth = _kth_scores(index, queries, k)
    # By score and not by row: of two equal images either is right.
    recall = float(np.mean(scores >= kth[:, None] - 1e-3))
    measured = searcher.bundle.measured.get("index", {}).get("recall_at_10", 1.0)
    if recall < measured - _LOSS:
        raise GateError(
            f"recall@10 against exact search is {recall:.3f} on {len(rows)} catalogue pictures, the export measured "
            f"{measured:.3f}: it must be at least {measured - _LOSS:.3f}; export the bundle again"
        )
    return f"{told}, recall@10 {recall:.3f}"


def _embedded(searcher: Searcher) -> tuple[np.ndarray, np.ndarray]:
    """Rows, evenly spaced, and the embeddings of their pictures; what cannot be read or embedded is left out."""
    gallery = searcher.gallery
    rows, vectors = [], []
    for row in _spread(len(gallery)):
        picture = gallery.picture(row)
        if picture is None:
            continue
        try:
            pixels = searcher.pixels(picture)
        except ImageError:
            continue
        # One by one: a batch of them would hold up the searches beside it.
        vector = searcher.embed_pixels(pixels[None])[0]
        if np.isfinite(vector).all():
            rows.append(row)
            vectors.append(vector)
    return np.array(rows, np.int64), np.array(vectors, np.float32).reshape(len(rows), searcher.dim)


def _spread(count: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(_PICTURES, count)).astype(np.int64)).tolist()


def _kth_scores(index: Vectors, queries: np.ndarray, k: int) -> np.ndarray:
    """The k-th best cosine of each query over all rows, block by block."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    for start in range(0, len(index), _BLOCK):
        vectors = index.vectors(np.arange(start, min(start + _BLOCK, len(index))))
        scores = np.concatenate([best, queries @ vectors.T], axis=1)
        best = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k:]
    lowest: np.ndarray = best.min(axis=1)
    return lowest
