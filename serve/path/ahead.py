"""A search that is made where the embedding was."""

import time
from collections.abc import Callable

import numpy as np

from serve.schemas import Result

__all__ = ["SearchAhead"]


class SearchAhead:
    """Searches on the thread that is given the vector, and keeps what came of it for the request.

    Attributes:
        done: whether it searched. The vector may have come from elsewhere.
        seconds: that it took.
    """

    def __init__(self, search: Callable[[np.ndarray], list[Result]]) -> None:
        self._search = search
        self._found: list[Result] = []
        self._error: Exception | None = None
        self.done = False
        self.seconds = 0.0

    def __call__(self, vector: np.ndarray) -> None:
        """Search."""
        started = time.perf_counter()
        try:
            self._found = self._search(vector)
        except Exception as error:
            self._error = error
        self.seconds = time.perf_counter() - started
        self.done = True

    def found(self) -> list[Result]:
        """What was found; raises what the search raised."""
        if self._error is not None:
            raise self._error
        return self._found
