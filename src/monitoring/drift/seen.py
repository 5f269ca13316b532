"""One query as a service saw it."""

from typing import NamedTuple

import numpy as np

__all__ = ["Seen"]


class Seen(NamedTuple):
    """What is counted of a query.

    Attributes:
        vector: float32 (dim,), L2-normalised.
        norm: before L2; NaN where the graph gives none.
        pixels: uint8 (height, width, 3), of `thinned`.
        size: width and height of the upright file, in pixels.
        score: cosine of the best result; NaN where there is none, or where filters decided it.
        category: of the best result; None where unknown.
        request_id: by which the query is found in the service's log.
    """

    vector: np.ndarray
    norm: float
    pixels: np.ndarray
    size: tuple[int, int]
    score: float
    category: str | None
    request_id: str
