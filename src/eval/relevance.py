"""Which units are relevant to a query, by which grade, and how many of each grade there are."""

import logging
from collections.abc import Mapping
from functools import cache
from itertools import combinations

import numpy as np

from src.eval.codes import NULL, column_codes, paired_codes
from src.eval.embedded import Embedded
from src.eval.units import Units, first_known

__all__ = ["Relevance"]

log = logging.getLogger(__name__)

Codes = tuple[np.ndarray, np.ndarray]


class Relevance:
    """Grades between queries and units.

    A unit has the highest grade of the columns whose value it shares with the query. An item's value of a column is its
    first image's that has one. Units that a query must not find (all their images are its own or of its sequence) count
    nowhere.

    Attributes:
        positives: int64 of shape (queries,): units of the query's item.
        items: codes of the queries' and of the units' items.
        levels: the grades that occur, ascending.
        counts: int64 of shape (queries, len(levels)): units of each of these grades.
    """

    def __init__(
        self,
        queries: Embedded,
        gallery: Embedded,
        units: Units,
        *,
        grades: Mapping[str, int],
        own: np.ndarray,
        sequences: Codes | None,
    ) -> None:
        self._columns: list[tuple[int, Codes]] = []
        for column, grade in sorted(grades.items(), key=lambda pair: -pair[1]):
            codes = column_codes(queries, gallery, column)
            if codes is None:
                _say_once(column, grade)
            elif grade > 0:
                self._columns.append((grade, (codes[0], first_known(units, codes[1], NULL))))
        items = column_codes(queries, gallery, "item_id")
        assert items is not None
        self.items: Codes = items[0], first_known(units, items[1], NULL)
        self._units, self._own = units, own
        self._hidden = _hidden(units, sequences)
        self.levels = np.array(sorted({grade for grade, _ in self._columns}), np.int64)
        self.counts = np.zeros((len(queries), len(self.levels)), np.int64)
        for place, (grade, _) in enumerate(self._columns):
            self.counts[:, np.searchsorted(self.levels, grade)] += self._only(place)
        self.positives = self._sharing([self.items])

    def grade(self, queries: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Grades of pairs: int8 of the shape that `queries` and `units` (rows, int64) broadcast to."""
        grades = np.zeros(np.broadcast_shapes(queries.shape, units.shape), np.int8)
        for grade, (asked, found) in self._columns:
            codes = asked[queries]
            shared = (codes == found[units]) & (codes != NULL)
            np.maximum(grades, np.int8(grade), out=grades, where=shared)
        return grades

    def relevant(self, queries: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Whether pairs are of one item: bool, as `grade`."""
        return self.items[0][queries] == self.items[1][units]

    def _only(self, place: int) -> np.ndarray:
        """Units of each query that share a column and none of a higher grade, by inclusion and exclusion."""
        column, higher = self._columns[place][1], [codes for _, codes in self._columns[:place]]
        total = np.zeros(len(self._own), np.int64)
        for size in range(len(higher) + 1):
            for chosen in combinations(higher, size):
                total += (-1) ** size * self._sharing([column, *chosen])
        return total

    def _sharing(self, columns: list[Codes]) -> np.ndarray:
        """Units that share all of some columns with each query, those that it must not find aside."""
        shared = columns[0]
        for codes in columns[1:]:
            shared = paired_codes(shared, codes)
        total = _matches(shared)
        if self._hidden is not None:
            total -= _matches(paired_codes(shared, self._hidden))
        # Where no sequence hides it, the own image hides the unit that has no other.
        alone = self._own >= 0
        if self._hidden is not None:
            alone &= self._hidden[0] == NULL
        rows = np.flatnonzero(alone)
        unit = self._units.of_image[self._own[rows]]
        same = (self._units.images[unit] == 1) & (shared[0][rows] == shared[1][unit]) & (shared[0][rows] != NULL)
        total[rows] -= same
        return total


@cache
def _say_once(column: str, grade: int) -> None:
    log.info("images have no %s: grade %d of graded NDCG does not exist", column, grade)


def _hidden(units: Units, sequences: Codes | None) -> Codes | None:
    """The queries' sequences, and the sequence that hides a unit because all of its images are of it."""
    if sequences is None:
        return None
    asked, found = sequences
    ordered = found[units.images_by_unit]
    least, most = (function.reduceat(ordered, units.image_starts[:-1]) for function in (np.minimum, np.maximum))
    return asked, np.where(least == most, least, NULL)


def _matches(codes: Codes) -> np.ndarray:
    """How many units have each query's code."""
    asked, found = codes
    sizes = np.bincount(found[found != NULL], minlength=int(asked.max(initial=0)) + 1)
    return np.where(asked != NULL, sizes[asked], 0)
