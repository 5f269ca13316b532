"""The map of the embedding as the page draws it: points with a colour and a picture."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from src.eval.embedded import Embedded
from src.eval.embedding_map import map_embedding
from src.eval.evaluation import Evaluation
from src.eval.report.thumbnails import Thumbnails

__all__ = ["LEAST", "MapView", "Point", "draw_map"]

LEAST = 12
"""Fewest images of a map."""

_WIDTH, _HEIGHT, _MARGIN = 1000, 700, 20
_COLOURS = 10


@dataclass(frozen=True)
class Point:
    """One image.

    Attributes:
        x: from the left, of 1000.
        y: from the top, of 700.
        group: position in the legend.
        query: whether it is a query.
        label: its item, and the value that it is coloured by.
        image: data URI.
    """

    x: float
    y: float
    group: int
    query: bool
    label: str
    image: str


@dataclass(frozen=True)
class MapView:
    """A map for the page.

    Attributes:
        points: one for each image.
        groups: the legend.
        column: the column that is shown by colour.
        note: how to read the map.
    """

    points: list[Point]
    groups: list[str]
    column: str
    note: str


def draw_map(evaluation: Evaluation, thumbnails: Thumbnails, *, images: int) -> MapView | None:
    """Place queries and gallery on one map, coloured by category, or by role where there is none.

    Args:
        evaluation: the embeddings.
        thumbnails: of the catalogue.
        images: most points.

    Returns:
        None where there are too few images for a map.
    """
    everything, is_query = _together(evaluation)
    if min(len(everything), images) < LEAST:
        return None
    laid = map_embedding(everything, limit=images)
    column, values = _colouring(everything.take(laid.rows), is_query[laid.rows])
    groups, codes = _groups(values)
    low, high = laid.points.min(axis=0), laid.points.max(axis=0)
    room = np.array([_WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN])
    at = _MARGIN + (laid.points - low) / np.maximum(high - low, 1e-9) * room
    points = [
        Point(
            round(float(at[i, 0]), 1),
            round(float(at[i, 1]), 1),
            int(codes[i]),
            bool(is_query[row]),
            f"{everything.item_ids[row]} ({values[i]})",
            thumbnails[everything.image_ids[row]],
        )
        for i, row in enumerate(laid.rows)
    ]
    return MapView(
        points,
        groups,
        column,
        f"t-SNE of {len(points):,} of {len(everything):,} images, queries as small dots; only nearness has a meaning. "
        f"Trustworthiness {laid.trustworthiness:.2f}: 1 where all {laid.neighbours} neighbours of each dot are its "
        "neighbours in the embedding as well, about 0.5 for unrelated points.",
    )


def _together(evaluation: Evaluation) -> tuple[Embedded, np.ndarray]:
    """Each image once, and whether it is a query."""
    queries, gallery = evaluation.queries, evaluation.gallery
    rest = gallery.take(np.flatnonzero(~np.isin(gallery.image_ids.astype(str), queries.image_ids.astype(str))))
    known = queries.attributes is not None and rest.attributes is not None
    both = Embedded(
        np.concatenate([queries.vectors, rest.vectors]),
        np.concatenate([queries.image_ids, rest.image_ids]),
        np.concatenate([queries.item_ids, rest.item_ids]),
        pa.concat_tables([queries.attributes, rest.attributes], promote_options="permissive") if known else None,
    )
    return both, np.arange(len(both)) < len(queries)


def _colouring(shown: Embedded, is_query: np.ndarray) -> tuple[str, np.ndarray]:
    """The column that is shown by colour, and each image's value of it."""
    categories = shown.attribute("category")
    if categories is None:
        return "role", np.where(is_query, "query", "gallery")
    return "category", np.array([str(value or "none") for value in categories.to_pylist()], dtype=object)


def _groups(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The most frequent values, one colour each; all others share the last colour."""
    names, codes, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    if len(names) <= _COLOURS:
        return [str(names[i]) for i in order], place[codes]
    shown = [str(names[i]) for i in order[: _COLOURS - 1]]
    return [*shown, f"{len(names) - len(shown)} others"], np.minimum(place, _COLOURS - 1)[codes]
