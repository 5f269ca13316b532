"""What is ranked (items or images), which of it is relevant to each query, and by which grade."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded

__all__ = [
    "NULL",
    "Codes",
    "Entries",
    "Relevance",
    "column_codes",
    "comparable",
    "directions",
    "make_entries",
    "matches",
    "paired_codes",
]

log = logging.getLogger(__name__)

NULL = -1
"""The code of null, which equals nothing, not even itself."""

_NOTHING = 1e-5
"""What float32 leaves of vectors that cancel each other."""

Codes = tuple[np.ndarray, np.ndarray]
"""Integers for a column's values: int64 of shape (queries,), and of shape (images,) or (entries,) for the gallery."""


@dataclass(frozen=True)
class Entries:
    """What is ranked: the items of a gallery, or its images; and the vectors that are searched for them.

    A vector that is searched is called a row. It is an image's, or the mean of an item's images.

    Attributes:
        count: entries.
        vectors: float32 of shape (rows, dim), norm 1.
        of_row: int64 of shape (rows,): the entry of each row.
        rows_by_entry: int64 of shape (rows,): the rows of entry 0, then those of entry 1, ...
        row_starts: int64 of shape (count + 1,): where each entry begins in `rows_by_entry`.
        of_image: int64 of shape (images,): the entry of each gallery image.
        images_by_entry: int64 of shape (images,): the images of entry 0, then those of entry 1, ...
        image_starts: int64 of shape (count + 1,): where each entry begins in `images_by_entry`.
        image_vectors: float32 of shape (images, dim), norm 1.
        sums: float32 of shape (count, dim), the sum of each entry's images, where rows are means; else None.
    """

    count: int
    vectors: np.ndarray
    of_row: np.ndarray
    rows_by_entry: np.ndarray
    row_starts: np.ndarray
    of_image: np.ndarray
    images_by_entry: np.ndarray
    image_starts: np.ndarray
    image_vectors: np.ndarray
    sums: np.ndarray | None

    @property
    def images(self) -> np.ndarray:
        """Images of each entry: int64 of shape (count,)."""
        return np.diff(self.image_starts)

    def first_known(self, codes: np.ndarray) -> np.ndarray:
        """Each entry's value of a column, that of its first image that has one.

        Args:
            codes: int64 of shape (images,), `NULL` for null.

        Returns:
            int64 of shape (count,), `NULL` where no image has a value.
        """
        known = np.full(self.count, NULL)
        order = self.images_by_entry[codes[self.images_by_entry] != NULL]
        # Written from the last to the first: the first stays.
        known[self.of_image[order[::-1]]] = codes[order[::-1]]
        return known


def make_entries(vectors: np.ndarray, items: np.ndarray, *, level: str, aggregate: str) -> Entries:
    """Group a gallery's images into entries.

    Args:
        vectors: float32 of shape (images, dim), norm 1.
        items: int64 of shape (images,), codes of their items.
        level: `item` or `image`.
        aggregate: with `item`, `best` (each image is a row) or `mean` (each item is a row).
    """
    entry = np.unique(items, return_inverse=True)[1] if level == "item" else np.arange(len(vectors))
    by_entry = np.argsort(entry, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(entry))]
    count = len(starts) - 1
    if level == "image" or aggregate == "best":
        return Entries(count, vectors, entry, by_entry, starts, entry, by_entry, starts, vectors, None)
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, entry, vectors)
    means = directions(sums)
    each = np.arange(count)
    return Entries(count, means, each, each, np.arange(count + 1), entry, by_entry, starts, vectors, sums)


def directions(vectors: np.ndarray) -> np.ndarray:
    """Vectors with norm 1; images that cancel each other have a mean without direction, and a cosine of 0."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(norms > _NOTHING, vectors / np.where(norms > 0, norms, 1), 0).astype(np.float32)


def column_codes(queries: Embedded, gallery: Embedded, column: str) -> Codes | None:
    """One column's values as integers, equal where the values are, `NULL` for null.

    Returns:
        The codes of the queries and of the gallery's images; None where one of them has no such column or only null
        in it.

    Raises:
        LookalikeError: values of the column's type cannot be compared.
    """
    if column == "item_id":
        encoded = pa.array(np.concatenate([queries.item_ids, gallery.item_ids]).astype(str)).dictionary_encode()
    else:
        of_queries, of_gallery = queries.attribute(column), gallery.attribute(column)
        if of_queries is None or of_gallery is None:
            return None
        texts = [comparable(values, column) for values in (of_queries, of_gallery)]
        encoded = pa.concat_arrays([*texts[0].chunks, *texts[1].chunks]).dictionary_encode()
    codes = pc.fill_null(encoded.indices, NULL).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes[: len(queries)], codes[len(queries) :]


def comparable(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column as large strings, or as large binary where it is binary; NaN is null, since it equals nothing either.

    Raises:
        LookalikeError: the type has no text.
    """
    kind = values.type
    of_bytes = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    try:
        texts = values.cast(pa.large_binary() if any(check(kind) for check in of_bytes) else pa.large_string())
    except pa.ArrowException as error:
        raise LookalikeError(
            f"column {name!r} holds {kind}, whose values cannot be compared; name another one in `grades` or `exclude`"
        ) from error
    if not pa.types.is_floating(kind):
        return texts
    return pc.if_else(pc.is_null(values, nan_is_null=True), pa.scalar(None, texts.type), texts)


class Relevance:
    """Grades between queries and entries.

    An entry has the highest grade of the columns whose value it shares with the query. An item's value of a column is
    its first image's that has one. Entries that a query must not find (because all their images are its own image or
    share its value of the excluded column) are not counted.

    Attributes:
        positives: int64 of shape (queries,): entries of the query's item.
        items: codes of the queries' and of the entries' items.
        levels: the grades that occur, ascending.
        counts: int64 of shape (queries, len(levels)): entries of each of these grades.
    """

    def __init__(
        self,
        queries: Embedded,
        gallery: Embedded,
        entries: Entries,
        *,
        grades: Mapping[str, int],
        own: np.ndarray,
        excluded: Codes | None,
    ) -> None:
        """Count what there is to be found.

        Args:
            queries: the query images.
            gallery: the gallery images.
            entries: of the gallery.
            grades: column -> grade of an entry that shares the query's value of it.
            own: int64 of shape (queries,): the gallery row of the query's own image, -1 where it is not there.
            excluded: codes of the column whose value a result must not share with the query, if there is one.
        """
        self._columns: list[tuple[int, Codes]] = []
        for column, grade in sorted(grades.items(), key=lambda pair: -pair[1]):
            codes = column_codes(queries, gallery, column)
            if codes is None:
                _log_once(column, grade)
            elif grade > 0:
                self._columns.append((grade, (codes[0], entries.first_known(codes[1]))))
        items = column_codes(queries, gallery, "item_id")
        assert items is not None
        self.items: Codes = items[0], entries.first_known(items[1])
        self._entries, self._own = entries, own
        self._hidden = _hidden(entries, excluded)
        self.levels = np.array(sorted({grade for grade, _ in self._columns}), np.int64)
        self.counts = np.zeros((len(queries), len(self.levels)), np.int64)
        for number, (grade, _) in enumerate(self._columns):
            self.counts[:, np.searchsorted(self.levels, grade)] += self._sharing_only(number)
        self.positives = self._sharing([self.items])

    def grade(self, queries: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """Grades of pairs: int8 of the shape that `queries` and `entries` (int64 positions) broadcast to."""
        grades = np.zeros(np.broadcast_shapes(queries.shape, entries.shape), np.int8)
        for grade, (of_queries, of_entries) in self._columns:
            codes = of_queries[queries]
            shared = (codes == of_entries[entries]) & (codes != NULL)
            np.maximum(grades, np.int8(grade), out=grades, where=shared)
        return grades

    def relevant(self, queries: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """Whether pairs are of one item: bool, as `grade`."""
        return self.items[0][queries] == self.items[1][entries]

    def _sharing_only(self, number: int) -> np.ndarray:
        """Entries that share a column with each query and none of a higher grade, by inclusion and exclusion."""
        column, higher = self._columns[number][1], [codes for _, codes in self._columns[:number]]
        total = np.zeros(len(self._own), np.int64)
        for size in range(len(higher) + 1):
            for chosen in combinations(higher, size):
                total += (-1) ** size * self._sharing([column, *chosen])
        return total

    def _sharing(self, columns: list[Codes]) -> np.ndarray:
        """Entries that share all of some columns with each query, without those that it must not find."""
        shared = columns[0]
        for codes in columns[1:]:
            shared = paired_codes(shared, codes)
        total = matches(shared)
        if self._hidden is not None:
            total -= matches(paired_codes(shared, self._hidden))
        # An entry whose only image is the query's own is hidden, too; the excluded column may have hidden it already.
        alone = self._own >= 0
        if self._hidden is not None:
            alone &= self._hidden[0] == NULL
        rows = np.flatnonzero(alone)
        entry = self._entries.of_image[self._own[rows]]
        same = (self._entries.images[entry] == 1) & (shared[0][rows] == shared[1][entry]) & (shared[0][rows] != NULL)
        total[rows] -= same
        return total


@cache
def _log_once(column: str, grade: int) -> None:
    log.info("images have no %s: grade %d of graded NDCG does not exist", column, grade)


def _hidden(entries: Entries, excluded: Codes | None) -> Codes | None:
    """Values of the excluded column: each query's, and of each entry the one that all its images share, or null."""
    if excluded is None:
        return None
    of_queries, of_images = excluded
    ordered = of_images[entries.images_by_entry]
    least, most = (function.reduceat(ordered, entries.image_starts[:-1]) for function in (np.minimum, np.maximum))
    return of_queries, np.where(least == most, least, NULL)


def paired_codes(first: Codes, second: Codes) -> Codes:
    """Codes that are equal where both of two columns are."""
    a, b = np.concatenate(first), np.concatenate(second)
    _, codes = np.unique(a * (b.max() + 2) + b, return_inverse=True)
    codes = np.where((a == NULL) | (b == NULL), NULL, codes)
    return codes[: len(first[0])], codes[len(first[0]) :]


def matches(codes: Codes) -> np.ndarray:
    """How many entries have each query's code."""
    of_queries, of_entries = codes
    sizes = np.bincount(of_entries[of_entries != NULL], minlength=int(of_queries.max(initial=0)) + 1)
    return np.where(of_queries != NULL, sizes[of_queries], 0)
